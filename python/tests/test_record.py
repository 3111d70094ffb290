"""Decisions, outcomes, episodes and events, as they were given."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import annals
import numpy as np
import pytest
from conftest import lines


def test_an_example_of_the_front_page_runs(directory: Path) -> None:
    with annals.open(directory) as journal:
        recorder = journal.recorder("dqn_agent", "ETH/USDT", actions=["BUY", "SELL", "HOLD"])
        decision = recorder.log(0, [0.85, 0.10, 0.05], [0.1, 0.2, 0.3])
        recorder.outcome(decision, reward=1.5)
        journal.flush()
        health = journal.health()
        assert health["state"] == "running"
        assert health["committed"] == 2
    assert journal.closed
    (line,) = lines(directory)
    assert "dqn_agent" in line
    assert "BUY" in line
    assert "conf=0.850" in line
    (outcome,) = lines(directory, "outcome_records")
    assert "1.5" in outcome


def test_every_part_of_a_decision_is_taken(journal: annals.Journal, directory: Path) -> None:
    first = journal.log("signal", "ETH", "BUY", confidence=0.5)
    assert first is not None
    second = journal.log(
        "dqn",
        "ETH",
        "BUY",
        probabilities={"BUY": 0.75, "SELL": np.float32(0.25)},
        features=np.arange(4, dtype=np.float32),
        checkpoint="dqn_1",
        processing_time=0.0125,
        memory=48 << 20,
        event_time="2025-07-25T14:35:00Z",
        deterministic=True,
        sampled=True,
        action_vector=[0.5, -0.25],
        caused_by=first,
        correlation="order-4711",
        episode="3-17",
        step=4,
        attributes={"venue": "x", "size": 3, "fast": True, "price": np.float64(1.5)},
        keep=True,
    )
    assert annals.id_text(second or 0) == "1-1"
    assert annals.id_number("1-1") == second
    third = journal.log("llm", "user", "answer", keep_bytes=b"prompt", feature_hash=7)
    assert third is not None
    journal.flush()
    health = journal.health()
    assert health["committed"] == 3
    assert health["inputs"]["kept"] == 2
    journal.close()
    line = lines(directory)[1]
    for part in ["2025-07-25 14:35:00", "conf=0.750", "12.5ms", "dqn_1"]:
        assert part in line


def test_arrays_of_one_input_have_one_hash(directory: Path) -> None:
    """Repeats are recognised by the hash, so the same input in another layout is a repeat."""
    base = np.arange(6, dtype=np.float32).reshape(2, 3)
    wide = np.zeros((2, 6), dtype=np.float32)
    wide[:, ::2] = base
    locked = base.copy()
    locked.flags.writeable = False
    packed = np.frombuffer(b"x" + base.tobytes(), dtype=np.float32, offset=1)
    assert not packed.flags.aligned
    inputs = [base, base.ravel(), wide[:, ::2], np.asfortranarray(base), locked, packed]
    with annals.open(directory, dedup_window="1h") as journal:
        recorder = journal.recorder("dqn", "ETH", ["BUY", "SELL"])
        for features in inputs:
            assert recorder.log(0, [0.75, 0.25], features) is not None
        journal.flush()
        assert journal.health()["repeats"] == len(inputs) - 1
        # Lists are hashed as float64, and so are another input than float32.
        recorder.log(0, [0.75, 0.25], base.ravel().tolist())
        recorder.log(0, [0.75, 0.25], base.astype(np.float64))
        journal.flush()
        assert journal.health()["repeats"] == len(inputs)


def test_large_arrays_are_borrowed(directory: Path) -> None:
    base = np.arange(5_000, dtype=np.float64)
    packed = np.frombuffer(b"x" + base.tobytes(), dtype=np.float64, offset=1)
    with annals.open(directory, dedup_window="1h") as journal:
        recorder = journal.recorder("dqn", "ETH", ["BUY", "SELL"], keep_inputs=True)
        for features in [base, packed, np.repeat(base, 2)[::2], base.tolist()]:
            assert recorder.log(0, None, features) is not None
        journal.flush()
        assert journal.health()["repeats"] == 3
        base[0] = 1.0  # nothing holds the array any more


@pytest.mark.parametrize(
    "probabilities",
    [
        [0.75, 0.25],
        (0.75, 0.25),
        np.array([0.75, 0.25]),
        np.array([[0.75, 0.25]], dtype=np.float32),
        np.array([0.75, 9.0, 0.25, 9.0])[::2],
    ],
)
def test_probabilities_of_any_layout_are_stored(directory: Path, probabilities: object) -> None:
    with annals.open(directory) as journal:
        recorder = journal.recorder("dqn", "ETH", ["BUY", "SELL"])
        assert recorder.log("SELL", probabilities) is not None
    (line,) = lines(directory)
    assert "conf=0.250" in line


def test_a_timer_measures_its_block(journal: annals.Journal) -> None:
    recorder = journal.recorder("dqn", "ETH", ["BUY"])
    with recorder.timer() as timer:
        time.sleep(0.01)
    taken = timer.seconds
    assert taken >= 0.01
    assert timer.seconds == taken
    assert "annals.Timer" in repr(timer)
    assert recorder.log(0, timer=timer) is not None
    assert journal.log("dqn", "ETH", "BUY", timer=journal.timer()) is not None


def test_outcomes_say_what_became_known(journal: annals.Journal, directory: Path) -> None:
    recorder = journal.recorder("dqn", "ETH", ["BUY"])
    decision = recorder.log(0)
    assert recorder.outcome(decision, reward=np.float32(1.5), correct=np.bool_(True), slippage=0.5)
    assert journal.outcome(annals.id_text(decision or 0), label="filled", at="1h")
    assert not journal.outcome(None, reward=1)
    journal.close()
    assert not journal.outcome(decision, reward=1)
    first, second = lines(directory, "outcome_records")
    assert "slippage=0.5" in first
    assert "filled" in second


def test_episodes_count_their_steps_and_end(journal: annals.Journal, directory: Path) -> None:
    recorder = journal.recorder("dqn", "pong", ["up", "down"])
    with recorder.episode() as episode:
        step = episode.log(0, [0.75, 0.25], [0.5])
        assert episode.outcome(step, reward=1)
        episode.log("down", timer=episode.timer())
        assert episode.steps == 2
    assert "(ended)" in repr(episode)
    with pytest.raises(annals.ConflictError, match="ended"):
        episode.log(0)

    def fail() -> None:
        with recorder.episode() as failed:
            failed.log(0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with recorder.episode() as won:
        won.log(0)
        assert won.end("truncated", reward=10)
    with pytest.raises(annals.ConflictError, match="ended"):
        won.end()
    assert not recorder.episode().end()
    journal.close()
    text = "\n".join(lines(directory, "outcome_records"))
    assert text.count("episode.end") == 3
    assert "episode.reward=10" in text


def test_names_of_a_recorder_can_change(journal: annals.Journal, directory: Path) -> None:
    recorder = journal.recorder("dqn", "ETH", ["BUY"], checkpoint="dqn_1")
    recorder.log(0)
    recorder.model, recorder.symbol, recorder.checkpoint = "cnn", "BTC", "cnn_2"
    assert (recorder.model, recorder.symbol, recorder.checkpoint) == ("cnn", "BTC", "cnn_2")
    assert recorder.actions == ["BUY"]
    recorder.log(0)
    recorder.checkpoint = None
    recorder.log(0)
    journal.close()
    first, second, third = lines(directory)
    assert "dqn_1" in first
    assert "cnn" in second
    assert "BTC" in second
    assert "cnn_2" in second
    assert "cnn_2" not in third


def test_events_and_conditions_are_recorded(journal: annals.Journal, directory: Path) -> None:
    assert journal.event("warning", "feed", "quotes are late", seconds=3.2, level="x")
    assert journal.raise_condition("warn", "registry", "no checkpoints")
    assert not journal.raise_condition("warn", "registry", "no checkpoints")
    assert journal.clear_condition("registry", "no checkpoints")
    assert journal.checkpoint_event("loaded", "dqn", "dqn_1", "by hand")
    journal.close()
    assert not journal.event("info", "feed", "nobody listens")
    text = "\n".join(lines(directory, "system_events"))
    assert "quotes are late" in text
    assert "seconds=3.2" in text
    assert "dqn_1" in "\n".join(lines(directory, "checkpoint_events"))


def test_messages_of_logging_become_events(journal: annals.Journal, directory: Path) -> None:
    logger = logging.getLogger("test.annals")
    handler = annals.LoggingHandler(journal)
    logger.addHandler(handler)
    logger.propagate = False
    try:
        logger.warning("%d quotes are late", 3, extra={"venue": "x", "huge": 1 << 70})
        logger.error("a lone \ud800 surrogate")
        try:
            raise KeyError("weights")
        except KeyError:
            logger.exception("no weights")
        journal.close()
        logger.warning("after the end")
    finally:
        logger.removeHandler(handler)
    text = "\n".join(lines(directory, "system_events"))
    for part in ["3 quotes are late", "venue=x", "test.annals", "KeyError", "test_record.py"]:
        assert part in text
    assert "after the end" not in text


def test_a_closed_journal_refuses_to_wait_and_records_nothing(directory: Path) -> None:
    journal = annals.open(directory)
    recorder = journal.recorder("dqn", "ETH", ["BUY"])
    episode = recorder.episode()
    journal.close()
    journal.close()
    assert "(closed)" in repr(journal)
    assert recorder.log(0) is None
    assert episode.log(0) is None
    assert journal.log("dqn", "ETH", "BUY") is None
    for wait in [journal.flush, journal.sync, journal.health, journal.registry]:
        with pytest.raises(annals.EndedError, match="closed"):
            wait()
    with pytest.raises(annals.EndedError):
        journal.recorder("dqn", "ETH", ["BUY"])
    assert lines(directory) == []


def test_a_full_queue_is_counted(directory: Path) -> None:
    with annals.open(directory, queue_capacity=64, commit_interval="1m") as journal:
        recorder = journal.recorder("dqn", "ETH", ["BUY"])
        ids = [recorder.log(0, features=[float(number)]) for number in range(100_000)]
        dropped = ids.count(None)
        health = journal.health()
        assert health["dropped"]["queue_full"] == dropped
        assert health["offered"] == len(ids)


def test_names_are_kept_in_memory_only(directory: Path) -> None:
    journal = annals.in_memory()
    assert journal.path is None
    assert "in memory" in repr(journal)
    assert len(journal.id) == 32
    journal.log("dqn", "ETH", "BUY")
    journal.flush()
    assert journal.health()["committed"] == 1
    assert not directory.exists()
