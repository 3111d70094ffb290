"""Data sets for training, out of a live journal.

    >>> data = annals.datasets.DecisionDataset("data", model="dqn", cursor_file="cursor")
    >>> loader = torch.utils.data.DataLoader(data, batch_size=256, collate_fn=collate)

PyTorch is not needed: without it the data set is a plain iterable.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Iterator
from typing import Any, Callable

from annals.errors import InvalidInputError
from annals.reading import Decision, Reader

__all__ = ["DecisionDataset", "Sample"]

try:
    from torch.utils.data import IterableDataset as _Base  # type: ignore[import-not-found]
    from torch.utils.data import get_worker_info as _worker_info  # type: ignore[import-not-found]
except ImportError:
    _Base = object

    def _worker_info() -> Any:
        return None


Sample = dict[str, Any]
"""What a data set gives for one decision; see `DecisionDataset`."""

_PIECE = 16_384
"""Entries that are asked for at once."""


class DecisionDataset(_Base):  # type: ignore[misc, valid-type]
    """Streams the decisions of a journal, each once, in the order of their recording.

    A sample is a dictionary:

    | key | value |
    |---|---|
    | `id`, `sequence` | the decision's |
    | `model`, `symbol`, `action` | text |
    | `features` | the kept input: an array of float32 or float64, bytes, or None |
    | `probability` | the behaviour policy's probability of the action, from 0 to 1, or None |
    | `reward`, `correct` | the outcome that holds, or None |
    | `checkpoint` | the id of the checkpoint that decided, or None |
    | `event_time_us` | microseconds since 1970 |

    The probability is the recorded propensity, or the action's share of the recorded
    probabilities.

    Parameters
    ----------
    path:
        The journal's directory. Other processes may write it meanwhile.
    model, symbol, checkpoint:
        Only decisions of these.
    cursor_file:
        A file that remembers how far the consumer got. Without one every iteration begins at
        `start`. It is replaced as a whole, so a crash leaves the old place or the new one.
    start:
        A cursor to begin at if there is no cursor file yet; the journal's start without one.
    wait_for_reward:
        Seconds that a decision waits for its reward, from its event time on. The stream waits with
        it, so that a single place says what was given. 0 gives it as it is.
    follow:
        Whether to wait for new decisions at the end. Without it the iteration ends there.
    skip:
        What to leave out: `"unrewarded"`, `"inputless"`, both, or a function of a `Decision`.
        Repeats are left out unless `repeats` is true.
    save_every:
        Samples between two writes of the cursor file. The end of an iteration writes it too. After
        a crash at most so many samples come twice.
    transform:
        A function of each sample; what it returns is given instead.

    A sample counts as consumed when the next one is asked for. A DataLoader asks for a whole batch
    ahead, and its workers for several: after a crash those are not given again. Where that matters,
    keep `state_dict` with the weights. Each worker takes its share of the sequences and has a
    cursor file of its own, whose name ends in `.worker-of-workers`. Their number may change between
    runs: a worker without a file goes on at the place that all workers of another number reached.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        model: str | None = None,
        symbol: str | None = None,
        checkpoint: str | None = None,
        cursor_file: str | os.PathLike[str] | None = None,
        start: str | None = None,
        wait_for_reward: float = 0.0,
        follow: bool = False,
        skip: str | tuple[str, ...] | list[str] | Callable[[Decision], bool] | None = None,
        repeats: bool = False,
        save_every: int = 1_024,
        transform: Callable[[Sample], Any] | None = None,
        poll: float = 0.1,
    ) -> None:
        super().__init__()
        if save_every < 1:
            raise InvalidInputError(f"save_every={save_every} is less than 1")
        if wait_for_reward < 0 or poll <= 0:
            raise InvalidInputError("wait_for_reward is at least 0 seconds, and poll is more")
        names = [skip] if isinstance(skip, str) else skip
        if names is not None and not callable(names):
            unknown = [name for name in names if name not in ("unrewarded", "inputless")]
            if unknown:
                raise InvalidInputError(
                    f'skip={unknown[0]!r} is neither "unrewarded" nor "inputless"'
                )
        self.path = os.fspath(path)
        self.model = model
        self.symbol = symbol
        self.checkpoint = checkpoint
        self.cursor_file = None if cursor_file is None else os.fspath(cursor_file)
        self.start = start
        self.wait_for_reward = wait_for_reward
        self.follow = follow
        self.skip = names
        self.repeats = repeats
        self.save_every = save_every
        self.transform = transform
        self.poll = poll
        self._next: str | None = None
        self._loaded: str | None = None
        # A wrong path or cursor is told here, and not in a worker.
        with Reader(self.path) as reader:
            if start is not None:
                reader._core.sequence_of(start)

    @property
    def cursor(self) -> str | None:
        """The place after the last sample that was consumed in this process."""
        return self._next

    def state_dict(self) -> dict[str, Any]:
        """The place, for checkpoints of a training run."""
        return {"cursor": self._loaded or self._next or self._first(None, 0, 1)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Lets the next iteration begin at the place of a `state_dict`."""
        self._loaded = state["cursor"]

    def __iter__(self) -> Iterator[Any]:
        worker = _worker_info()
        shard, shards = (0, 1) if worker is None else (worker.id, worker.num_workers)
        cursor_file = self.cursor_file
        if cursor_file is not None and worker is not None:
            cursor_file = f"{cursor_file}.{shard}-of-{shards}"
        with Reader(self.path) as reader:
            begin = self._loaded or self._first(reader, shard, shards)
            place = reader._core.sequence_of(begin)
            self._next, self._loaded = begin, None
            given = 0
            try:
                for decision, after in self._decisions(reader, place, shard, shards):
                    if decision is not None:
                        sample: Any = self._sample(decision)
                        yield sample if self.transform is None else self.transform(sample)
                        given += 1
                    # Only here the consumer has come back: the sample before this is used.
                    place = after
                    self._next = reader._core.cursor_at(place)
                    if cursor_file is not None and given and given % self.save_every == 0:
                        _write(cursor_file, self._next)
            finally:
                # Also when the consumer stops early, with what it has used by then.
                if cursor_file is not None:
                    _write(cursor_file, reader._core.cursor_at(place))

    def _first(self, reader: Reader | None, shard: int, shards: int) -> str:
        """Where a worker begins.

        Its own file has its place. Another number of workers has shared the sequences in another
        way: what all of them have passed is consumed, if each has written its place.
        """
        if reader is None:
            with Reader(self.path) as opened:
                return self._first(opened, shard, shards)
        places = []
        for number, cursors in self._stored().items():
            of_workers = {at: reader._core.sequence_of(cursor) for at, cursor in cursors.items()}
            if number == shards:
                places += [place for at, place in of_workers.items() if at == shard]
            elif len(of_workers) == number:
                places.append(min(of_workers.values()))
        if places:
            return reader._core.cursor_at(max(places))
        return self.start or reader.start

    def _stored(self) -> dict[int, dict[int, str]]:
        """The cursors in the files: by the number of workers, then by the worker."""
        found: dict[int, dict[int, str]] = {}
        if self.cursor_file is None:
            return found
        folder, name = os.path.split(os.path.abspath(self.cursor_file))
        for entry in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            if entry == name:
                shard, shards = 0, 1
            elif match := re.fullmatch(re.escape(name) + r"\.(\d+)-of-(\d+)", entry):
                shard, shards = int(match[1]), int(match[2])
            else:
                continue
            if shard < shards:
                with open(os.path.join(folder, entry), encoding="utf-8") as file:
                    found.setdefault(shards, {})[shard] = file.read().strip()
        return found

    def _decisions(
        self, reader: Reader, place: int, shard: int, shards: int
    ) -> Iterator[tuple[Decision | None, int]]:
        """Decisions with the place behind them; None for a stretch without any."""
        while True:
            end = reader._core.end()[1]
            until = min(end, place + _PIECE)
            if place < until:
                conditions = {
                    "model": self.model,
                    "symbol": self.symbol,
                    "action": None,
                    "checkpoint": self.checkpoint,
                    "correlation": None,
                    "caused_by": None,
                    "episode": None,
                    "since": None,
                    "until": None,
                    "first": place,
                    "end": until,
                    "repeats": self.repeats,
                    "newest_first": False,
                    "limit": None,
                    "outcomes": True,
                    "inputs": True,
                }
                for decision in reader._core.decisions(conditions):
                    if decision.sequence % shards != shard:
                        continue
                    settled = self._settled(reader, decision)
                    if self._is_wanted(settled):
                        yield settled, settled.sequence + 1
                place = until
                yield None, place
            elif self.follow:
                # The interpreter is free meanwhile, and Ctrl-C ends it.
                time.sleep(self.poll)
            else:
                return

    def _settled(self, reader: Reader, decision: Decision) -> Decision:
        """The decision with its reward, or after its time to wait for one."""
        patience = decision.event_time_us / 1e6 + self.wait_for_reward
        while decision.reward is None and self.wait_for_reward > 0:
            left = patience - time.time()
            if left <= 0:
                break
            time.sleep(min(left, self.poll))
            decision = reader.get(decision.id) or decision
        return decision

    def _is_wanted(self, decision: Decision) -> bool:
        if self.skip is None:
            return True
        if callable(self.skip):
            return not self.skip(decision)
        if "unrewarded" in self.skip and decision.reward is None:
            return False
        return "inputless" not in self.skip or decision.features is not None

    @staticmethod
    def _sample(decision: Decision) -> Sample:
        probability = decision.propensity
        if probability is None:
            probability = decision.probabilities.get(decision.action)
        return {
            "id": decision.id,
            "sequence": decision.sequence,
            "model": decision.model,
            "symbol": decision.symbol,
            "action": decision.action,
            "features": decision.features,
            "probability": probability,
            "reward": decision.reward,
            "correct": decision.correct,
            "checkpoint": decision.checkpoint,
            "event_time_us": decision.event_time_us,
        }


def _write(path: str, text: str) -> None:
    """Replaces a small file as a whole."""
    folder = os.path.dirname(os.path.abspath(path))
    handle, name = tempfile.mkstemp(dir=folder, prefix=".annals-cursor-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
