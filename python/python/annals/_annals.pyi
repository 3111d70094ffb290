"""The extension module. Import its names from `annals`."""

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, SupportsFloat, SupportsIndex, final

import numpy as np
from typing_extensions import Self, TypeAlias, TypedDict, Unpack

from annals.reading import Reader, Rows

Time: TypeAlias = datetime | timedelta | np.datetime64 | int | float | str
"""An aware datetime, seconds since 1970 as float, microseconds since 1970 as int, a text of ISO
8601 with an offset, or a duration before now: a timedelta, or a text such as "24h"."""

Span: TypeAlias = timedelta | float | str
"""A duration: seconds, a timedelta, or a text such as "200ms"."""

Numbers: TypeAlias = np.ndarray[Any, Any] | Sequence[SupportsFloat] | Any
"""An array of float32 or float64, of numpy or of what numpy can wrap, or a list of numbers."""

Scalar: TypeAlias = bool | int | float | str | np.generic
Id: TypeAlias = int | str
Level: TypeAlias = Literal["trace", "debug", "info", "warn", "warning", "error"]
Mode: TypeAlias = Literal["min", "max"]
EpisodeEnd: TypeAlias = Literal["terminated", "truncated", "abandoned"]

class _Options(TypedDict, total=False):
    commit_interval: timedelta | str
    commit_bytes: int | str
    queue_capacity: int
    overflow: Literal["drop_newest"] | Mapping[str, timedelta | str]
    dedup_window: timedelta | str | Literal[0]
    dedup_capacity: int
    max_names: int
    cache_bytes: int | str
    memory_interval: timedelta | str
    close_timeout: timedelta | str
    sharing: Literal["shared", "exclusive"]
    black_box: Literal["lanes", "spool", "off"]
    input_budget: int | str
    flush_on_panic: timedelta | str
    label: str
    mirror: Mapping[str, Any]
    without_mirror: bool
    seal_bytes: int | str
    seal_age: timedelta | str
    fold_interval: timedelta | str
    without_folding: bool
    retention: Mapping[str, Any]

class _Bound(TypedDict, total=False):
    confidence: SupportsFloat | None
    processing_time: Span | None
    event_time: Time | None
    feature_hash: int | None
    propensity: SupportsFloat | None
    sampled: bool | None
    action_vector: Numbers | None
    caused_by: Id | None
    correlation: str | None
    episode: Id | None
    step: int | None
    attributes: Mapping[str, Scalar] | None
    keep: bool | None
    keep_bytes: bytes | None

class _InCall(_Bound, total=False):
    timer: Timer | None
    checkpoint: str | None
    memory: int | None
    deterministic: bool | None

class _Facts(TypedDict, total=False):
    metrics: Mapping[str, SupportsFloat] | None
    metadata: Mapping[str, Any] | None
    tags: Iterable[str] | None
    step: int | None
    epoch: int | None
    parent: Checkpoint | str | None
    model_type: str | None
    extension: str | None
    created: Time | None

class _Rules(TypedDict, total=False):
    max_age: timedelta | str
    max_bytes: int | str
    max_count: int
    keep_latest: int
    keep_best: Sequence[str]
    keep_every_steps: int
    keep_tagged: Sequence[str]
    trust_clock: bool

def open(path: str | os.PathLike[str], **options: Unpack[_Options]) -> Journal:
    """Opens the journal in a directory, and creates it where there is none.

    Options have the names and words of the library's `Options`. Takes milliseconds at any size.
    Raises InvalidInputError for an option that cannot work, RefusedBySystemError without rights,
    BusyError while another process has the journal for itself.
    """

def in_memory(**options: Unpack[_Options]) -> Journal:
    """Opens a journal in memory, for tests: everything works, nothing survives."""

def id_text(id: Id) -> str:
    """The text of an id, as text files show it: "3-17" for number 17 of run 3."""

def id_number(id: Id) -> int:
    """The number of an id, from its text such as "3-17"."""

def _close_all() -> None: ...

@final
class Journal:
    """An open journal: the flight recorder of this process in one directory.

    A context manager. `log` never waits for the disk and never raises because of it: a call that
    could not be recorded returns None and is counted in `health()`. A forked child opens its own
    journal at the first call.
    """

    @property
    def path(self) -> Path | None:
        """The directory; None in memory."""
    @property
    def closed(self) -> bool:
        """Whether the journal was closed."""
    @property
    def id(self) -> str:
        """The journal's identity: 32 hexadecimal digits."""
    def log(
        self,
        model: str,
        symbol: str,
        action: str,
        *,
        probabilities: Mapping[str, SupportsFloat]
        | Iterable[tuple[str, SupportsFloat]]
        | None = None,
        features: Numbers | None = None,
        **more: Unpack[_InCall],
    ) -> int | None:
        """Records a decision with names as strings.

        Without `keep=True` only the hash of `features` is stored. `processing_time` is in seconds,
        `memory` in bytes. Returns the decision's id, which means that it is queued; None if it was
        dropped and counted in `health()`, or if the journal is closed. Raises InvalidInputError for
        arguments that cannot be stored as they are.
        """
    def recorder(
        self,
        model: str,
        symbol: str,
        actions: Iterable[str],
        *,
        labels: Iterable[str] | None = None,
        checkpoint: str | None = None,
        deterministic: bool = False,
        keep_inputs: bool | int | None = None,
        feature_names: Iterable[str] | None = None,
    ) -> Recorder:
        """Prepares the decisions of one model about one symbol: names are bound once.

        `actions` are what the model chooses from, in the order of its outputs. `labels` name the
        probabilities where they are not the actions. `keep_inputs` is True to keep every input, n
        to keep about one in n, False to keep those of calls with `keep=True`. Raises
        InvalidInputError without actions or for a name twice, EndedError once closed.
        """
    def timer(self) -> Timer:
        """Measures a processing time, for `log(..., timer=timer)`."""
    def outcome(
        self,
        id: Id | None,
        /,
        *,
        reward: SupportsFloat | None = None,
        correct: bool | np.bool_ | None = None,
        label: str | None = None,
        at: Time | None = None,
        episode_end: EpisodeEnd | None = None,
        episode_reward: SupportsFloat | None = None,
        **values: SupportsFloat,
    ) -> bool:
        """Records what became known after a decision. `id` is what `log` returned.

        A later value replaces an earlier one of the same name. Returns whether it was queued; False
        for an id of None, and once the journal is closed.
        """
    def event(self, level: Level | str, component: str, message: str, /, **fields: Scalar) -> bool:
        """Records a system event with fields. Returns whether it was queued."""
    def raise_condition(self, level: Level | str, component: str, condition: str) -> bool:
        """Records that a condition holds, once until `clear_condition` ends it."""
    def clear_condition(self, component: str, condition: str) -> bool:
        """Records that a condition has ended."""
    def checkpoint_event(
        self,
        action: Literal["saved", "loaded", "activated", "deleted", "failed"],
        model: str,
        checkpoint: str,
        detail: str | None = None,
    ) -> bool:
        """Records what happened to a checkpoint outside of the registry."""
    def flush(self, timeout: Span | None = None) -> None:
        """Waits until everything that was logged before is on disk and visible to readers.

        `timeout` is in seconds, by default 30. Raises BusyError when time ran out,
        RefusedBySystemError without room, EndedError once the journal is closed or its files are
        gone.
        """
    def sync(self, timeout: Span | None = None) -> None:
        """Waits until everything that was logged before is on disk, without a commit."""
    def health(self) -> dict[str, Any]:
        """Counts of what was recorded and lost, and the state of the journal's threads."""
    def registry(self) -> Registry:
        """The registry of checkpoints in this journal's directory."""
    def close(self) -> None:
        """Commits what is queued, and closes the journal. Closing it again does nothing."""
    def reader(self) -> Reader:
        """A reader of what is committed, on the same journal."""
    def sql(self, statement: str, *, scan: bool = False, max_rows: int = 10_000_000) -> Rows:
        """The answer to a statement in SQLite's dialect; see `Reader.sql`.

        Raises UnsupportedError for a journal in memory.
        """
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...

@final
class Recorder:
    """Records the decisions of one model about one symbol, with names that are bound once."""

    model: str
    """The model, which can be set."""
    symbol: str
    """The symbol, which can be set."""
    @property
    def checkpoint(self) -> str | None:
        """The checkpoint that decides, which can be set; None for none."""
    @checkpoint.setter
    def checkpoint(self, id: Checkpoint | str | None) -> None: ...
    @property
    def actions(self) -> list[str]:
        """The actions, in the order of their indexes."""
    def log(
        self,
        action: SupportsIndex | str,
        probabilities: Numbers | None = None,
        features: Numbers | None = None,
        timer: Timer | None = None,
        **more: Unpack[_Bound],
    ) -> int | None:
        """Records a decision: `action` is an index or a name of the bound actions.

        The confidence is the probability of the action, the event time is now. Of features that are
        kept nowhere, only the hash is stored. Returns the decision's id, which means that it is
        queued; None if it was dropped and counted in `health()`. Raises InvalidInputError for
        arguments that cannot be stored as they are.
        """
    def timer(self) -> Timer:
        """Measures the processing time of a decision, for `log(..., timer=timer)`."""
    def outcome(
        self,
        id: Id | None,
        /,
        *,
        reward: SupportsFloat | None = None,
        correct: bool | np.bool_ | None = None,
        label: str | None = None,
        at: Time | None = None,
        episode_end: EpisodeEnd | None = None,
        episode_reward: SupportsFloat | None = None,
        **values: SupportsFloat,
    ) -> bool:
        """Records what became known after a decision; see `Journal.outcome`."""
    def episode(self) -> Episode:
        """Begins an episode: a context manager whose decisions are numbered steps.

        The block's end ends it as terminated, and an exception as abandoned, unless `end` was
        called.
        """

@final
class Episode:
    """An episode under way: a context manager. Its decisions are numbered from 0."""

    @property
    def id(self) -> int:
        """Its id, which another process may be told: that gives it to `log(episode=, step=)`."""
    @property
    def steps(self) -> int:
        """How many steps were taken; 0 once it has ended."""
    def log(
        self,
        action: SupportsIndex | str,
        probabilities: Numbers | None = None,
        features: Numbers | None = None,
        timer: Timer | None = None,
        **more: Unpack[_Bound],
    ) -> int | None:
        """Records the next step; see `Recorder.log`. Raises ConflictError once it has ended."""
    def timer(self) -> Timer:
        """Measures the processing time of a step."""
    def outcome(
        self,
        id: Id | None,
        /,
        *,
        reward: SupportsFloat | None = None,
        correct: bool | np.bool_ | None = None,
        label: str | None = None,
        at: Time | None = None,
        episode_end: EpisodeEnd | None = None,
        episode_reward: SupportsFloat | None = None,
        **values: SupportsFloat,
    ) -> bool:
        """Records what became known after a step: its reward."""
    def end(self, end: EpisodeEnd | None = None, *, reward: SupportsFloat | None = None) -> bool:
        """Ends the episode, by default as terminated. `reward` is one of the whole episode.

        Returns whether it was queued; False without any step. Raises ConflictError if it has ended.
        """
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...

@final
class Timer:
    """Measures the processing time of a decision, in a `with` block or from its making on."""

    def __init__(self) -> None: ...
    @property
    def seconds(self) -> float:
        """Seconds of the block, or until now."""
    def stop(self) -> float:
        """Ends the measurement; returns the seconds."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...

@final
class Checkpoint:
    """A checkpoint of the registry, as it was when it was asked for."""

    @property
    def id(self) -> str:
        """Its id, such as "dqn_agent_20250725_143500"."""
    @property
    def model(self) -> str:
        """The model."""
    @property
    def model_type(self) -> str:
        """The kind of model; empty if it was not given."""
    @property
    def created(self) -> datetime:
        """When it was made: an aware datetime in UTC."""
    @property
    def metrics(self) -> dict[str, float]:
        """Metrics by name."""
    @property
    def metadata(self) -> dict[str, Any]:
        """The training run's own facts by name."""
    @property
    def step(self) -> int | None:
        """The step of training."""
    @property
    def epoch(self) -> int | None:
        """The epoch of training."""
    @property
    def parent(self) -> str | None:
        """The id of the checkpoint that the training began from."""
    @property
    def tags(self) -> list[str]:
        """Its tags."""
    @property
    def pinned(self) -> bool:
        """Whether it is pinned: retention never deletes it."""
    @property
    def size(self) -> int:
        """Size of the weights in bytes."""
    @property
    def digest(self) -> str | None:
        """BLAKE3 digest of the weights in hexadecimal; None if it is not known."""
    @property
    def path(self) -> Path:
        """The file of the weights. `Registry.load` verifies what it reads."""
    @property
    def condition(self) -> str:
        """The word "present" or "missing", or "corrupt: " and how it shows."""
    @property
    def origin(self) -> Literal["saved", "registered", "found", "other"]:
        """Whether the registry wrote the weights."""

@final
class Registry:
    """The checkpoints of a directory: weights, metrics and metadata, and the best of them."""

    def __init__(self, path: str | os.PathLike[str]) -> None: ...
    @property
    def path(self) -> Path:
        """The directory of the weights."""
    def save(
        self,
        model: str,
        weights: bytes | bytearray | memoryview | str | os.PathLike[str] | Mapping[str, Any] | Any,
        **facts: Unpack[_Facts],
    ) -> Checkpoint:
        """Saves weights as a new checkpoint, durable when it returns: some five fsyncs.

        `weights` is bytes, the path of a file that is copied, an object with `state_dict`, or a
        dict of arrays or tensors. The last two are stored as safetensors. Raises
        RefusedBySystemError if they cannot be written: then nothing is left of them.
        """
    def register(
        self, model: str, path: str | os.PathLike[str], **facts: Unpack[_Facts]
    ) -> Checkpoint:
        """Registers weights that stay where they are."""
    def load(self, id: Checkpoint | str) -> bytes:
        """The weights as bytes, after a look at their digest.

        Raises NotFoundError for an unknown id and for weights that are gone, DamagedError if they
        differ from the saved ones.
        """
    def load_arrays(self, id: Checkpoint | str) -> dict[str, np.ndarray[Any, Any]]:
        """The tensors of a checkpoint in safetensors, by name."""
    def best(
        self, model: str, metric: str | None = None, mode: Mode | None = None
    ) -> Checkpoint | None:
        """The best checkpoint by the model's monitor, or by a metric and a mode."""
    def top_k(self, model: str, metric: str, mode: Mode, k: int) -> list[Checkpoint]:
        """The `k` best checkpoints by a metric, best first."""
    def active(self, model: str) -> Checkpoint | None:
        """The checkpoint that the alias "active" points at."""
    def latest(self, model: str) -> Checkpoint | None:
        """The newest checkpoint."""
    def get(self, id: Checkpoint | str) -> Checkpoint | None:
        """The checkpoint with this id."""
    def list(
        self,
        model: str,
        *,
        tag: str | None = None,
        alias: str | None = None,
        since: Time | None = None,
        until: Time | None = None,
        steps: tuple[int, int] | None = None,
        limit: int | None = None,
    ) -> list[Checkpoint]:
        """A model's checkpoints, newest first."""
    def models(self) -> list[str]:
        """The names of all models."""
    def metrics(self, model: str) -> list[str]:
        """The metrics that a model's checkpoints have."""
    def monitor(self, model: str) -> tuple[str, str] | None:
        """The metric and mode that rank a model's checkpoints."""
    def set_monitor(self, model: str, metric: str, mode: Mode) -> None:
        """Sets the metric that ranks a model's checkpoints."""
    def alias(self, model: str, alias: str) -> Checkpoint | None:
        """The checkpoint that an alias points at."""
    def aliases(self, model: str) -> dict[str, str]:
        """A model's aliases, and the ids that they point at."""
    def set_alias(self, alias: str, id: Checkpoint | str) -> None:
        """Points an alias of the checkpoint's model at it."""
    def remove_alias(self, model: str, alias: str) -> bool:
        """Removes an alias. Returns whether it was there."""
    def rollback(self, model: str, alias: str) -> Checkpoint:
        """Points an alias at where it pointed before, and returns that checkpoint."""
    def activate(self, id: Checkpoint | str) -> None:
        """Makes a checkpoint the active one of its model."""
    def tag(self, id: Checkpoint | str, tag: str) -> None:
        """Adds a tag."""
    def untag(self, id: Checkpoint | str, tag: str) -> None:
        """Removes a tag."""
    def pin(self, id: Checkpoint | str) -> None:
        """Keeps retention from deleting a checkpoint."""
    def unpin(self, id: Checkpoint | str) -> None:
        """Ends a pin."""
    def delete(self, id: Checkpoint | str, why: str) -> None:
        """Deletes a checkpoint and its weights. Raises ConflictError for a pin or an alias."""
    def lineage(self, id: Checkpoint | str) -> list[Checkpoint]:
        """The checkpoint and those that it was trained from."""
    def reconcile(self, *, contents: bool = False) -> dict[str, Any]:
        """Compares entries with files. With `contents` every digest is computed."""
    def retention(self, model: str | None = None, **rules: Unpack[_Rules]) -> Retention:
        """A retention policy: `plan()` lists what it would delete, and why."""
    def watch(self, model: str, what: Literal["best", "latest"] | str | None = None) -> Watch:
        """Keeps the best or latest checkpoint, or that of an alias, up to date."""

@final
class Retention:
    """A retention policy for checkpoints."""

    def plan(self) -> RetentionPlan:
        """What would be deleted now. Deletes nothing."""

@final
class RetentionPlan:
    """What a retention policy would delete."""

    @property
    def lines(self) -> list[tuple[str, bool, str]]:
        """For every checkpoint the id, whether it is deleted, and the reason."""
    @property
    def deletions(self) -> list[Checkpoint]:
        """The checkpoints that would be deleted."""
    @property
    def bytes(self) -> int:
        """Bytes of weights that would be freed."""
    @property
    def held_back(self) -> list[str]:
        """Models whose checkpoints all stay because a rule names what they do not have."""
    def apply(self) -> list[str]:
        """Deletes exactly what the plan lists, and returns the ids."""

@final
class Watch:
    """A model's best, newest or aliased checkpoint, kept up to date."""

    def current(self) -> Checkpoint | None:
        """The checkpoint as of now."""
    def changed(self) -> Checkpoint | None:
        """The checkpoint, if it is another one than when this was last asked."""

# Reading: `annals.reading` wraps these. `Decision` and `Entry` are public.

@final
class Decision:
    """A decision, with the outcomes and the input that were asked for."""

    @property
    def kind(self) -> str: ...
    @property
    def id(self) -> int: ...
    @property
    def run(self) -> int: ...
    @property
    def sequence(self) -> int: ...
    @property
    def event_time(self) -> datetime: ...
    @property
    def event_time_us(self) -> int: ...
    @property
    def recorded_time(self) -> datetime: ...
    @property
    def model(self) -> str: ...
    @property
    def symbol(self) -> str: ...
    @property
    def action(self) -> str: ...
    @property
    def checkpoint(self) -> str | None: ...
    @property
    def confidence(self) -> float | None: ...
    @property
    def probabilities(self) -> dict[str, float]: ...
    @property
    def feature_hash(self) -> int | None: ...
    @property
    def processing_ns(self) -> int | None: ...
    @property
    def memory_bytes(self) -> int | None: ...
    @property
    def divergent(self) -> bool: ...
    @property
    def repeat_of(self) -> int | None: ...
    @property
    def attributes(self) -> dict[str, Any]: ...
    @property
    def propensity(self) -> float | None: ...
    @property
    def action_vector(self) -> list[float]: ...
    @property
    def caused_by(self) -> int | None: ...
    @property
    def correlation(self) -> str | None: ...
    @property
    def episode(self) -> str | None: ...
    @property
    def step(self) -> int | None: ...
    @property
    def reward(self) -> float | None: ...
    @property
    def correct(self) -> bool | None: ...
    @property
    def outcome_label(self) -> str | None: ...
    @property
    def outcome_values(self) -> dict[str, float]: ...
    @property
    def outcome_time(self) -> datetime | None: ...
    @property
    def features(self) -> Any: ...
    @property
    def feature_names(self) -> list[str]: ...
    @property
    def input_state(self) -> str | None: ...
    def line(self) -> str: ...

@final
class Entry:
    """Anything with a sequence number."""

    @property
    def kind(self) -> str: ...
    @property
    def sequence(self) -> int: ...
    @property
    def recorded_time(self) -> datetime: ...
    @property
    def decision(self) -> Decision | None: ...
    @property
    def data(self) -> dict[str, Any]: ...

@final
class _Reader:
    def __new__(cls, path: str | os.PathLike[str]) -> Self: ...
    @property
    def path(self) -> str | None: ...
    @property
    def is_closed(self) -> bool: ...
    def close(self) -> None: ...
    def id(self) -> str: ...
    def start(self) -> str: ...
    def end(self) -> tuple[str, int]: ...
    def sequence_of(self, cursor: str) -> int: ...
    def cursor_at(self, sequence: int) -> str: ...
    def models(self) -> list[str]: ...
    def knows(self, model: str) -> bool: ...
    def get(self, id: Id) -> Decision | None: ...
    def decisions(self, filter: dict[str, Any]) -> Any: ...
    def stats(self, scope: dict[str, Any], by: list[str] | None) -> str: ...
    def follow(self, cursor: str | None, timeout: float | None) -> Any: ...
    def sql(self, statement: str, scan: bool, max_rows: int) -> Any: ...

def _remove_old_entries(path: str | os.PathLike[str], days: int) -> int: ...
def _remove_old_lines(path: str | os.PathLike[str], lines: int) -> int: ...
