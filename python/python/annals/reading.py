"""Reading a journal, beside any processes that write it.

    >>> reader = annals.Reader("data")
    >>> polars.DataFrame(reader.decisions(model="dqn_agent", since="24h", outcomes=True))

A reader sees what is committed. It never waits for a writer, and no writer waits for it.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator, Sequence
from collections.abc import Sequence as _Sequence
from datetime import datetime, timedelta
from typing import Any, Union

from annals import _annals
from annals._annals import Decision, Entry
from annals._tables import ROWS, shown, table
from annals.errors import InvalidInputError

__all__ = [
    "ArrowRows",
    "ArrowStream",
    "Decision",
    "Decisions",
    "Entry",
    "Follow",
    "Reader",
    "Rows",
    "Stats",
    "StatsRows",
]

Path = Union[str, "os.PathLike[str]"]
TimeBound = Union[str, datetime, timedelta, float, int]
"""A moment (an aware datetime, text of ISO 8601 with an offset, seconds as float, microseconds as
int) or how long ago it was (a timedelta, text such as "24h")."""


class Reader:
    """A handle that reads a journal.

    Parameters
    ----------
    path:
        The journal's directory.

    Raises
    ------
    annals.NotFoundError, annals.AnnalsError
        There is no journal, or it cannot be read.

    It may be used from many threads. Close it, or use it in a `with` statement.
    """

    def __init__(self, path: Path) -> None:
        self._core = _annals._Reader(os.fspath(path))

    @classmethod
    def _of(cls, core: Any) -> Reader:
        reader = cls.__new__(cls)
        reader._core = core
        return reader

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets the journal's files go. Every later call raises `annals.EndedError`."""
        self._core.close()

    @property
    def path(self) -> str | None:
        """The journal's directory; None for one in memory."""
        path = self._core.path
        return None if path is None else os.fspath(path)

    @property
    def id(self) -> str:
        """The journal's identity: 32 hexadecimal digits."""
        return self._core.id()

    @property
    def start(self) -> str:
        """The cursor before the journal's first entry."""
        return self._core.start()

    @property
    def end(self) -> str:
        """The cursor behind the last committed entry. Reads a few pages of the disk."""
        return self._core.end()[0]

    def models(self) -> list[str]:
        """The names of the models that have decisions, from rollups."""
        return sorted(self._core.models())

    def __repr__(self) -> str:
        state = ", closed" if self._core.is_closed else ""
        return f"annals.Reader({self.path!r}{state})"

    def decisions(
        self,
        model: str | None = None,
        *,
        symbol: str | None = None,
        action: str | None = None,
        checkpoint: str | None = None,
        since: TimeBound | None = None,
        until: TimeBound | None = None,
        outcomes: bool = False,
        inputs: bool = False,
        repeats: bool = True,
        newest_first: bool = False,
        limit: int | None = None,
        correlation: str | None = None,
        caused_by: str | None = None,
        episode: str | None = None,
    ) -> Decisions:
        """The decisions that meet all conditions, oldest first.

        Nothing is read before the answer is used: iterate over it, or hand it or its `arrow()` to
        pyarrow, Polars, DuckDB or pandas.

        Parameters
        ----------
        since, until:
            Event times, from `since` on and before `until`; see `TimeBound`. A naive datetime is
            refused, because it could mean many moments.
        outcomes, inputs:
            Whether each decision comes with the outcomes that hold, and with its kept input.
        repeats:
            Whether repeats are there too.
        limit:
            At most so many.

        Warns
        -----
        UserWarning
            The journal has no decisions of this model yet.
        """
        if limit is not None and limit < 0:
            raise InvalidInputError(f"limit: {limit} is less than 0")
        if model is not None and not self._core.knows(model):
            known = ", ".join(repr(name) for name in self.models()[:20]) or "none"
            warnings.warn(
                f"the journal has no decisions of the model {model!r}; known are {known}",
                stacklevel=2,
            )
        conditions = {
            "model": model,
            "symbol": symbol,
            "action": action,
            "checkpoint": checkpoint,
            "correlation": correlation,
            "caused_by": caused_by,
            "episode": episode,
            "since": since,
            "until": until,
            "first": None,
            "end": None,
            "repeats": repeats,
            "newest_first": newest_first,
            "limit": limit,
            "outcomes": outcomes,
            "inputs": inputs,
        }
        return Decisions(self._core.decisions(conditions))

    def get(self, id: int | str) -> Decision | None:
        """The decision with this id, with its outcomes and its kept input; None if there is none.

        The id is the number that `log` returned, or its text such as "3-17"; a text that is no id
        raises `annals.InvalidInputError`.
        """
        return self._core.get(id)

    def stats(
        self,
        model: str | None = None,
        *,
        symbol: str | None = None,
        checkpoint: str | None = None,
        since: TimeBound | None = None,
        until: TimeBound | None = None,
        by: str | Sequence[str] | None = None,
    ) -> Stats:
        """Counts, means, quantiles, outcomes and calibration, from rollups in about a millisecond.

        With `by` ("model", "symbol", "checkpoint", "action", "hour", "day", or several of them) it
        is a `StatsRows` with a statistic for each group. `known` is False for a model that the
        journal has never met. `processing_ns` is in nanoseconds and `memory_bytes` in bytes.
        """
        scope = {
            "model": model,
            "symbol": symbol,
            "checkpoint": checkpoint,
            "since": since,
            "until": until,
        }
        if by is None:
            return Stats(json.loads(self._core.stats(scope, None)), model)
        groups = [by] if isinstance(by, str) else list(by)
        return StatsRows(json.loads(self._core.stats(scope, groups)), groups)  # type: ignore[return-value]

    def follow(self, cursor: str | None = None, *, timeout: float | None = None) -> Follow:
        """Every committed entry once, from a cursor on, and then those that follow.

        Parameters
        ----------
        cursor:
            Where to go on: the `cursor` of an earlier follower, `reader.start` or `reader.end`. The
            start without one.
        timeout:
            Seconds without an entry after which the iteration ends; 0 gives what is there. None
            waits for ever; Ctrl-C ends it.

        Raises
        ------
        annals.InvalidInputError, annals.NotFoundError
            The cursor is of another journal, or its entries were retired.
        """
        return Follow(self._core.follow(cursor, timeout))

    def sql(self, statement: str, *, scan: bool = False, max_rows: int = 10_000_000) -> Rows:
        """The answer to a statement in SQLite's dialect. Ctrl-C ends it.

        The tables are those of `annals sql`: `decisions`, `outcomes`, `episodes`, `events`, `gaps`,
        `runs`, `checkpoints`, and the predecessor's. Nothing can be written.

        Parameters
        ----------
        scan:
            Reads the rows also where rollups have the answer.
        max_rows:
            Rows are kept in memory; more of them are an error.

        Raises
        ------
        annals.InvalidInputError
            The statement is wrong, writes, or has too many rows.
        """
        return Rows(self._core.sql(statement, scan, max_rows))


class Decisions:
    """The answer to a query. Each use of it runs the query over what is committed by then.

    It is an iterable of `Decision`, and has the Arrow PyCapsule interface.
    """

    def __init__(self, core: Any) -> None:
        self._core = core

    def __iter__(self) -> Iterator[Decision]:
        return iter(self._core)

    def count(self) -> int:
        """How many there are. Reads them all; `stats` counts a model's decisions faster."""
        return self._core.count()

    def arrow(self, columns: Sequence[str] | None = None) -> ArrowStream:
        """The decisions as record batches of up to 65,536 rows, of these columns or of all.

        A batch is read when the consumer asks for it, so memory does not grow with the answer:

            >>> for batch in pyarrow.RecordBatchReader.from_stream(decisions.arrow()):

        Raises `annals.InvalidInputError` for an unknown column; the error lists the known ones.
        """
        return ArrowStream(self._core.arrow(None if columns is None else list(columns)))

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.arrow().__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> Any:
        return self.arrow().__arrow_c_schema__()

    def __repr__(self) -> str:
        return "<annals.Decisions: iterate over it, or use its arrow()>"

    _COLUMNS = ("event_time", "model", "symbol", "action", "confidence", "checkpoint", "reward")

    def _repr_html_(self) -> str:
        rows = []
        more = ""
        for decision in self:
            if len(rows) == ROWS:
                more = f"the first {ROWS} decisions"
                break
            rows.append([getattr(decision, name) for name in self._COLUMNS])
        return table(self._COLUMNS, rows, more)


class ArrowStream:
    """Record batches for pyarrow, Polars, DuckDB, pandas and others, through the Arrow PyCapsule
    interface. It may be used many times; each use reads the journal anew."""

    def __init__(self, core: Any) -> None:
        self._core = core

    @property
    def column_names(self) -> list[str]:
        """The names of the columns."""
        return self._core.column_names

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self._core.__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> Any:
        return self._core.__arrow_c_schema__()

    def __repr__(self) -> str:
        return f"<annals.ArrowStream of {len(self.column_names)} columns>"


class Stats(dict[str, Any]):
    """A statistic as a dictionary; see `Reader.stats`."""

    def __init__(self, values: dict[str, Any], model: str | None = None) -> None:
        super().__init__(values)
        self.model = model

    def _lines(self) -> list[tuple[str, Any]]:
        confidence = self.get("confidence") or {}
        latency = self.get("processing_ns") or {}
        outcomes = self.get("outcomes") or {}
        reward = outcomes.get("reward") or {}
        lines: list[tuple[str, Any]] = [
            ("decisions", self.get("count")),
            ("repeats", self.get("repeats")),
            ("first", self.get("first")),
            ("last", self.get("last")),
            ("mean confidence", confidence.get("mean")),
        ]
        for name in ("p50", "p90", "p99"):
            nanos = latency.get(name)
            lines.append((f"latency {name}, ms", None if nanos is None else nanos / 1e6))
        lines.append(("accuracy", outcomes.get("accuracy")))
        lines.append(("mean reward", reward.get("mean")))
        for action in self.get("actions") or ():
            lines.append((f"action {action['action']}", action["recorded"] + action["repeats"]))
        return [(name, value) for name, value in lines if value is not None]

    def __repr__(self) -> str:
        of = "all models" if self.model is None else repr(self.model)
        lines = "".join(f"\n  {name}: {shown(value)}" for name, value in self._lines())
        return f"<annals.Stats of {of}{lines}>"

    def _repr_html_(self) -> str:
        return table(("statistic", self.model or "all models"), self._lines())


class StatsRows(list[dict[str, Any]]):
    """A statistic for each group, with the group's names; see `Reader.stats`."""

    def __init__(self, rows: list[dict[str, Any]], groups: Sequence[str]) -> None:
        super().__init__(rows)
        self.groups = list(groups)

    def _table(self) -> tuple[list[str], list[list[Any]]]:
        names = ["time" if group in ("hour", "day") else group for group in self.groups]
        names = list(dict.fromkeys(names))
        headings = [*names, "decisions", "mean confidence", "accuracy", "mean reward"]
        rows = []
        for row in self:
            stats = row.get("stats", row)
            outcomes = stats.get("outcomes") or {}
            rows.append(
                [row.get(name) for name in names]
                + [
                    stats.get("count"),
                    (stats.get("confidence") or {}).get("mean"),
                    outcomes.get("accuracy"),
                    (outcomes.get("reward") or {}).get("mean"),
                ]
            )
        return headings, rows

    def __repr__(self) -> str:
        headings, rows = self._table()
        lines = "".join("\n  " + "  ".join(shown(cell) for cell in row) for row in rows[:ROWS])
        return f"<annals.StatsRows of {len(self)}: {', '.join(headings)}{lines}>"

    def _repr_html_(self) -> str:
        headings, rows = self._table()
        note = f"the first {ROWS} of {len(rows)}" if len(rows) > ROWS else ""
        return table(headings, rows[:ROWS], note)


class Follow:
    """Entries as they are committed; see `Reader.follow`."""

    def __init__(self, core: Any) -> None:
        self._core = core

    def __iter__(self) -> Follow:
        return self

    def __next__(self) -> Entry:
        return next(self._core)

    @property
    def cursor(self) -> str:
        """The place after the entry that was given last. Keep it to go on there later."""
        return self._core.cursor

    def __repr__(self) -> str:
        return f"<annals.Follow at {self.cursor}>"


class Rows(_Sequence):  # type: ignore[type-arg]
    """The rows of an answer, as tuples. Hand its `arrow()` to libraries of data frames."""

    def __init__(self, core: Any) -> None:
        self._core = core

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return self._core.columns

    @property
    def is_from_rollups(self) -> bool:
        """Whether rollups had the answer. They also count decisions that retention has removed."""
        return self._core.is_from_rollups

    def __len__(self) -> int:
        return len(self._core)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self._core.row(at) for at in range(*index.indices(len(self)))]
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        return self._core.row(at)

    def dicts(self) -> list[dict[str, Any]]:
        """The rows as dictionaries."""
        return [dict(zip(self.columns, row)) for row in self]

    def arrow(self) -> ArrowRows:
        """The rows for pyarrow, Polars, DuckDB and others.

        A column has one type, found from all its values; whole numbers and numbers with a fraction
        make a column of the latter. Any other mixture is an `annals.InvalidInputError` that names
        column and row, when the rows are taken.
        """
        return ArrowRows(self._core)

    def __repr__(self) -> str:
        lines = "".join(f"\n  {row}" for row in self[:ROWS])
        more = "\n  …" if len(self) > ROWS else ""
        return f"<annals.Rows of {len(self)}: {', '.join(self.columns)}{lines}{more}>"

    def _repr_html_(self) -> str:
        note = f"the first {ROWS} of {len(self)} rows" if len(self) > ROWS else ""
        return table(self.columns, self[:ROWS], note)


class ArrowRows:
    """The rows of an answer, through the Arrow PyCapsule interface."""

    def __init__(self, core: Any) -> None:
        self._core = core

    @property
    def column_names(self) -> list[str]:
        """The names of the columns."""
        return self._core.columns

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self._core.__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return f"<annals.ArrowRows of {len(self._core)}: {', '.join(self.column_names)}>"
