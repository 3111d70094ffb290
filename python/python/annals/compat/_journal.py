"""The one journal that the calls of this package share, as the predecessor had one database."""

from __future__ import annotations

import atexit
import os
import threading
from typing import Any, Union

import annals
from annals.reading import Reader

_lock = threading.RLock()
_path: str | None = None
_journal: annals.Journal | None = None
_reader: Reader | None = None

Path = Union[str, "os.PathLike[str]"]


def configure(path: Path) -> None:
    """Names the directory of the journal. An open journal in another one is closed.

    Without it the directory is `ANNALS_DIR`, or `data`.
    """
    global _path
    with _lock:
        wanted = os.path.abspath(os.fspath(path))
        if _path != wanted:
            close()
            _path = wanted


def close() -> None:
    """Commits what is queued and closes the journal. The next call opens it again."""
    global _journal, _reader
    with _lock:
        if _reader is not None:
            _reader.close()
        if _journal is not None:
            _journal.close()
        _journal = _reader = None


atexit.register(close)


def directory() -> str:
    """The directory of the journal."""
    return _path or os.path.abspath(os.environ.get("ANNALS_DIR") or "data")


def journal() -> annals.Journal:
    """The journal, opened at the first call."""
    global _journal
    with _lock:
        if _journal is None:
            _journal = annals.open(directory())
        return _journal


def reader() -> Reader:
    """A reader that sees all that was logged before this call."""
    global _reader
    with _lock:
        journal().flush()
        if _reader is None:
            _reader = Reader(directory())
        return _reader


def sql(statement: str) -> Any:
    """The answer to a statement over all that was logged before."""
    return reader().sql(statement)


def quoted(text: str) -> str:
    """A text as it stands in a statement."""
    return "'" + text.replace("'", "''") + "'"
