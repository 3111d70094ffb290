"""The data set of a live journal, and its cursor."""

from __future__ import annotations

import functools
import operator
from typing import Any

import annals
import pytest
from annals import datasets
from annals.datasets import DecisionDataset

np = pytest.importorskip("numpy")


def record(journal: Any, numbers: Any, **options: Any) -> list[Any]:
    """Decisions whose input is their number; their ids."""
    ids = [
        journal.log(
            "dqn",
            "pong",
            "up" if number % 2 else "down",
            probabilities={"up": 0.75, "down": 0.25},
            features=np.array([number, 0.5], dtype=np.float32),
            keep=True,
            checkpoint="epoch_7",
            **options,
        )
        for number in numbers
    ]
    journal.flush()
    return ids


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data"


def numbers(samples):
    return [int(sample["features"][0]) for sample in samples]


def test_a_sample_has_what_training_needs(path):
    with annals.open(path) as journal:
        ids = record(journal, range(3))
        journal.outcome(ids[0], reward=1.5, correct=True)
        journal.flush()
    samples = list(DecisionDataset(path, model="dqn"))
    first = samples[0]
    assert first["id"] == ids[0]
    assert first["features"].dtype == np.float32
    assert first["features"].tolist() == [0.0, 0.5]
    assert first["action"] == "down"
    assert first["probability"] == 0.25
    assert (first["reward"], first["correct"]) == (1.5, True)
    assert first["checkpoint"] == "epoch_7"
    assert samples[1]["probability"] == 0.75
    assert samples[1]["reward"] is None


def test_the_place_survives_a_restart(path, tmp_path):
    file = tmp_path / "trainer.cursor"
    with annals.open(path) as journal:
        record(journal, range(5))
        first = iter(DecisionDataset(path, cursor_file=file))
        taken = [next(first) for _ in range(3)]
        # The third is in use: it comes once more.
        first.close()
        assert numbers(taken) == [0, 1, 2]
        record(journal, range(5, 7))
    again = DecisionDataset(path, cursor_file=file)
    assert numbers(again) == [2, 3, 4, 5, 6]
    assert numbers(again) == []
    assert numbers(DecisionDataset(path, cursor_file=file)) == []
    # Without a file every one begins at the start.
    assert len(list(DecisionDataset(path))) == 7


def test_the_place_is_part_of_a_training_state(path):
    with annals.open(path) as journal:
        record(journal, range(4))
    data = DecisionDataset(path)
    state = data.state_dict()
    samples = iter(data)
    assert numbers([next(samples), next(samples)]) == [0, 1]
    middle = data.state_dict()
    samples.close()
    other = DecisionDataset(path)
    other.load_state_dict(middle)
    assert numbers(other) == [1, 2, 3]
    other.load_state_dict(state)
    assert len(list(other)) == 4


def test_what_is_skipped(path):
    with annals.open(path) as journal:
        ids = record(journal, range(3))
        journal.log("dqn", "pong", "up", features=[9.0])
        journal.log("other", "pong", "up")
        journal.outcome(ids[1], reward=-1.0)
        journal.flush()
    assert len(list(DecisionDataset(path))) == 5
    assert len(list(DecisionDataset(path, model="dqn"))) == 4
    assert numbers(DecisionDataset(path, skip="inputless")) == [0, 1, 2]
    assert numbers(DecisionDataset(path, skip=["inputless", "unrewarded"])) == [1]
    only_up = DecisionDataset(path, model="dqn", skip=lambda decision: decision.action != "up")
    assert [sample["action"] for sample in only_up] == ["up", "up"]
    pairs = DecisionDataset(path, skip="inputless", transform=lambda sample: sample["action"])
    assert list(pairs) == ["down", "up", "down"]


def test_a_live_journal_is_followed(path):
    with annals.open(path) as journal:
        record(journal, range(2))
        samples = iter(DecisionDataset(path, follow=True, poll=0.01))
        assert numbers([next(samples), next(samples)]) == [0, 1]
        record(journal, range(2, 3))
        assert numbers([next(samples)]) == [2]
        samples.close()


def test_a_decision_waits_for_its_reward(path):
    with annals.open(path) as journal:
        ids = record(journal, range(2))
        journal.outcome(ids[1], reward=2.0)
        journal.flush()

        class Judge:
            """Gives the reward when the data set looks a second time."""

            def __init__(self):
                self.looks = 0

        judge = Judge()
        data = DecisionDataset(path, wait_for_reward=3_600, poll=0.001)
        settled = data._settled

        def first_late(reader, decision):
            if decision.id == ids[0] and not judge.looks:
                judge.looks += 1
                journal.outcome(ids[0], reward=1.0)
                journal.flush()
            return settled(reader, decision)

        data._settled = first_late
        assert [sample["reward"] for sample in data] == [1.0, 2.0]
    # Long ago: it is given without one.
    with annals.open(path) as journal:
        record(journal, [7], event_time=1_600_000_000.0)
    assert [s["reward"] for s in DecisionDataset(path, wait_for_reward=60)] == [1.0, 2.0, None]


def test_workers_share_the_stream(path, tmp_path, monkeypatch):
    with annals.open(path) as journal:
        record(journal, range(10))

    class Worker:
        num_workers = 3

        def __init__(self, id):
            self.id = id

    file = tmp_path / "cursor"
    shares = []
    for worker in range(3):
        monkeypatch.setattr(datasets, "_worker_info", lambda worker=worker: Worker(worker))
        shares.append(numbers(DecisionDataset(path, start=None, cursor_file=None)))
        list(DecisionDataset(path, cursor_file=file))
    assert sorted(functools.reduce(operator.iadd, shares, [])) == list(range(10))
    assert all(2 < len(share) < 5 for share in shares)
    # Without workers it goes on at the least place of theirs.
    monkeypatch.setattr(datasets, "_worker_info", lambda: None)
    assert list(DecisionDataset(path, cursor_file=file)) == []
    with annals.open(path) as journal:
        record(journal, range(10, 14))
    assert numbers(DecisionDataset(path, cursor_file=file)) == [10, 11, 12, 13]
    # What fewer workers consumed is not given again by the old number of them.
    for worker in range(3):
        monkeypatch.setattr(datasets, "_worker_info", lambda worker=worker: Worker(worker))
        assert list(DecisionDataset(path, cursor_file=file)) == []


def test_a_worker_that_starts_late_gets_its_share(path, tmp_path, monkeypatch):
    with annals.open(path) as journal:
        record(journal, range(20))

    class Worker:
        num_workers = 2

        def __init__(self, id):
            self.id = id

    given = []
    for worker in range(2):
        # The first is over, and has written its file, before the second begins.
        monkeypatch.setattr(datasets, "_worker_info", lambda worker=worker: Worker(worker))
        given += numbers(DecisionDataset(path, cursor_file=tmp_path / "cursor"))
    assert sorted(given) == list(range(20))


def test_wrong_arguments_are_told_at_once(path):
    with pytest.raises(annals.AnnalsError):
        DecisionDataset(path / "nowhere")
    annals.open(path).close()
    wrong: list[dict[str, Any]] = [
        {"skip": "tired"},
        {"save_every": 0},
        {"wait_for_reward": -1},
        {"start": "nonsense"},
    ]
    for options in wrong:
        with pytest.raises(annals.InvalidInputError):
            DecisionDataset(path, **options)


def test_torch_is_optional(path):
    annals.open(path).close()
    data = DecisionDataset(path)
    torch = pytest.importorskip("torch")
    assert isinstance(data, torch.utils.data.IterableDataset)
