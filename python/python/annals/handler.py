"""Records messages of `logging` as system events."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from annals._annals import Journal

# What every record has; all else was given as `extra`.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def _level(number: int) -> str:
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warn"
    if number >= logging.INFO:
        return "info"
    return "debug" if number >= logging.DEBUG else "trace"


def _text(value: Any) -> str:
    """A text without lone surrogates, which the journal refuses."""
    return str(value).encode("utf-8", "replace").decode()


class LoggingHandler(logging.Handler):
    """Records messages as system events of the journal.

    The component is the logger's name. Fields are the place in the source as `file` and `line`,
    the traceback as `exception`, and what was given as `extra`. A message never waits for the disk.
    Once the journal is closed, messages are not recorded.

    ```python
    logging.getLogger().addHandler(annals.LoggingHandler(journal))
    logging.getLogger("feed").warning("quotes are late", extra={"seconds": 3.2})
    ```
    """

    def __init__(self, journal: Journal, level: int | str = logging.NOTSET) -> None:
        super().__init__(level)
        self.journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        """Records one message. An error goes to `handleError`, as `logging` asks for."""
        try:
            fields: dict[str, Any] = {"file": _text(record.pathname), "line": record.lineno}
            for name, value in vars(record).items():
                if name in _OWN or value is None:
                    continue
                plain = isinstance(value, (bool, float)) or (
                    isinstance(value, int) and -(1 << 63) <= value < 1 << 63
                )
                fields[_text(name)] = value if plain else _text(value)
            if record.exc_info and record.exc_info[0] is not None:
                formatter = self.formatter or logging.Formatter()
                fields["exception"] = _text(formatter.formatException(record.exc_info))
            message = _text(record.getMessage())
            self.journal.event(_level(record.levelno), _text(record.name), message, **fields)
        except Exception:
            self.handleError(record)

    def __repr__(self) -> str:
        return f"<annals.LoggingHandler {self.journal!r}>"
