"""Odd arguments: each gets a clear exception, or is stored as documented."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import annals
import numpy as np
import pytest
from conftest import finish, lines


class Tensor:
    """What this package looks at of a torch tensor."""

    def __init__(self, dtype: str, is_cuda: bool = False, requires_grad: bool = False) -> None:
        self.dtype = f"torch.{dtype}"
        self.is_cuda = is_cuda
        self.requires_grad = requires_grad

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray[Any, Any]:
        return np.array([0.75, 0.25], dtype=self.dtype.replace("torch.", ""))


@pytest.mark.parametrize(
    ("features", "said"),
    [
        (np.zeros(2, np.float16), "float16"),
        (np.zeros(2, np.int64), "int64"),
        (np.zeros(2, np.complex64), "complex64"),
        (np.zeros(2, ">f4"), ">f4"),
        (np.array(["a"]), "give float32"),
        (np.array([None]), "object"),
        (np.float32(1), "shape"),
        (np.array(1.0), "shape"),
        (Tensor("bfloat16"), "bfloat16"),
        (Tensor("float32", is_cuda=True), r"\.cpu\(\)"),
        (Tensor("float32", requires_grad=True), r"\.detach\(\)"),
        ("0.1", "got str"),
        (b"0.1", "got bytes"),
        ({0.1: 0.2}, "got dict"),
        ({0.1}, "got set"),
        (0.1, "got float"),
        (object(), "got object"),
        ([0.1, "0.2"], "got str"),
        ([0.1, None], "got NoneType"),
        ([[0.1], [0.2]], "got list"),
        ([10**400], "too large"),
    ],
)
def test_what_is_no_array_of_floats_is_refused(
    journal: annals.Journal, features: Any, said: str
) -> None:
    recorder = journal.recorder("dqn", "ETH", ["BUY", "SELL"])
    with pytest.raises(annals.InvalidInputError, match=said):
        recorder.log(0, None, features)
    with pytest.raises(annals.InvalidInputError, match=said):
        journal.log("dqn", "ETH", "BUY", features=features)
    assert journal.health()["offered"] == 0


def test_what_numpy_can_wrap_is_taken(journal: annals.Journal) -> None:
    recorder = journal.recorder("dqn", "ETH", ["BUY", "SELL"])
    assert recorder.log(0, Tensor("float32"), Tensor("float64")) is not None
    assert recorder.log(0, None, []) is not None
    assert recorder.log(0, None, np.zeros((0, 3))) is not None


@pytest.mark.parametrize(
    ("probabilities", "said"),
    [
        ([0.5], "1 of them for 2"),
        (np.zeros(3), "3 of them for 2"),
        (np.zeros((2, 2)), "shape"),
        ({"BUY": 0.5}, "got dict"),
    ],
)
def test_probabilities_fit_the_actions(
    journal: annals.Journal, probabilities: Any, said: str
) -> None:
    recorder = journal.recorder("dqn", "ETH", ["BUY", "SELL"])
    with pytest.raises(annals.InvalidInputError, match=said):
        recorder.log(0, probabilities)


@pytest.mark.parametrize("action", [2, -1, 1 << 70, True, 0.0, "HOLD", None, "\ud800"])
def test_an_action_is_one_of_those_that_are_bound(journal: annals.Journal, action: Any) -> None:
    recorder = journal.recorder("dqn", "ETH", ["BUY", "SELL"])
    with pytest.raises(annals.InvalidInputError, match="action"):
        recorder.log(action)
    assert recorder.log(np.int64(1)) is not None
    assert recorder.log(np.argmax([0.1, 0.9])) is not None


@pytest.mark.parametrize(
    ("actions", "said"),
    [([], "actions"), (["BUY", "BUY"], "twice"), ("BUY", "one str"), ([1], "got int"), (3, "int")],
)
def test_actions_are_different_names(journal: annals.Journal, actions: Any, said: str) -> None:
    with pytest.raises(annals.InvalidInputError, match=said):
        journal.recorder("dqn", "ETH", actions)


@pytest.mark.parametrize(
    "more",
    [
        {"attributes": {"huge": 1 << 63}},
        {"attributes": {"nested": [1]}},
        {"attributes": {1: 2}},
        {"attributes": "text"},
        {"attributes": {"surrogate": "\udfff"}},
        {"correlation": "\ud800"},
        {"correlation": 7},
        {"confidence": "high"},
        {"processing_time": -1},
        {"processing_time": float("nan")},
        {"processing_time": "soon"},
        {"processing_time": True},
        {"feature_hash": -1},
        {"feature_hash": 1 << 64},
        {"caused_by": "17"},
        {"caused_by": -1},
        {"step": 1},
        {"episode": "x"},
        {"keep_bytes": "text"},
        {"action_vector": ["a"]},
    ],
)
def test_parts_that_cannot_be_stored_are_refused(
    journal: annals.Journal, more: dict[str, Any]
) -> None:
    recorder = journal.recorder("dqn", "ETH", ["BUY"])
    with pytest.raises(annals.InvalidInputError):
        recorder.log(0, **more)
    with pytest.raises(annals.InvalidInputError):
        journal.log("dqn", "ETH", "BUY", **more)
    assert journal.health()["offered"] == 0


def test_an_unknown_keyword_is_a_type_error(journal: annals.Journal) -> None:
    recorder: Any = journal.recorder("dqn", "ETH", ["BUY"])
    with pytest.raises(TypeError, match="confidense"):
        recorder.log(0, confidense=0.5)
    with pytest.raises(TypeError, match="checkpoint"):
        recorder.log(0, checkpoint="dqn_1")


def test_nan_is_stored_and_counted(journal: annals.Journal) -> None:
    nan = float("nan")
    recorder = journal.recorder("dqn", "ETH", ["BUY", "SELL"])
    decision = recorder.log(0, [nan, 0.5], [nan, float("inf")])
    assert decision is not None
    assert recorder.outcome(decision, reward=nan)
    journal.flush()
    health = journal.health()
    assert health["committed"] == 2
    assert health["invalid"] >= 1


NAIVE = datetime(2025, 7, 25, 14, 35)
AWARE = datetime(2025, 7, 25, 14, 35, tzinfo=timezone(timedelta(hours=3)))


@pytest.mark.parametrize(
    "time",
    [
        AWARE,
        AWARE.timestamp(),
        int(AWARE.timestamp() * 1_000_000),
        "2025-07-25T11:35:00Z",
        np.datetime64("2025-07-25T11:35:00"),
    ],
)
def test_one_time_in_each_form(journal: annals.Journal, directory: Path, time: Any) -> None:
    journal.log("dqn", "ETH", "BUY", event_time=time)
    journal.close()
    (line,) = lines(directory)
    assert line.startswith("2025-07-25 11:35:00")


@pytest.mark.parametrize(
    ("time", "said"),
    [
        (NAIVE, "time zone"),
        (1_753_443_300, "seconds as float"),
        (1_753_443_300_000, "microseconds"),
        (1 << 70, "microseconds"),
        (float("nan"), "nan"),
        (1e300, "1e\\+?300"),
        ("yesterday", "24h"),
        ("", "24h"),
        (True, "bool"),
        ([], "list"),
    ],
)
def test_a_doubtful_time_is_refused(journal: annals.Journal, time: Any, said: str) -> None:
    with pytest.raises(annals.InvalidInputError, match=said):
        journal.log("dqn", "ETH", "BUY", event_time=time)


@pytest.mark.parametrize("name", ["model", "symbol", "action"])
@pytest.mark.parametrize("given", ["\ud800", 7, None, b"dqn"])
def test_names_are_texts(journal: annals.Journal, name: str, given: Any) -> None:
    names: dict[str, Any] = {"model": "dqn", "symbol": "ETH", "action": "BUY"}
    names[name] = given
    with pytest.raises(annals.InvalidInputError, match=name):
        journal.log(**names)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"comit_bytes": 1}, "comit_bytes"),
        ({"commit_interval": 0.2}, "200ms"),
        ({"commit_interval": timedelta(0)}, "commit_interval"),
        ({"queue_capacity": -1}, "queue_capacity|invalid value"),
        ({"queue_capacity": 1 << 70}, "64 bits"),
        ({"sharing": "everybody"}, "everybody"),
        ({"mirror": {"keepfiles": 1}}, "keepfiles"),
        ({"label": "\ud800"}, "surrogates"),
    ],
)
def test_an_option_that_cannot_work_is_named(
    directory: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(annals.InvalidInputError, match=said):
        annals.open(directory, **options)
    assert not directory.exists()


def test_options_in_words_and_durations(directory: Path) -> None:
    options: dict[str, Any] = {"mirror": {"directory": directory / "text"}, "label": "trainer-7"}
    with annals.open(str(directory), commit_interval=timedelta(seconds=0.05), **options) as journal:
        journal.log("dqn", "ETH", "BUY")
    assert list((directory / "text").glob("inference_records.*"))


def test_a_file_in_the_place_of_a_journal(tmp_path: Path) -> None:
    place = tmp_path / "data"
    place.write_text("not a directory")
    with pytest.raises(annals.InvalidInputError, match="data"):
        annals.open(place)
    # It is a ValueError too, and of the one family.
    with pytest.raises(ValueError, match="data"):
        annals.open(place)
    with pytest.raises(annals.AnnalsError):
        annals.open(place)


def test_a_journal_that_is_deleted_under_it(directory: Path) -> None:
    journal = annals.open(directory, commit_interval="20ms")
    journal.log("dqn", "ETH", "BUY")
    journal.flush()
    shutil.rmtree(directory)
    journal.log("dqn", "ETH", "SELL")
    with pytest.raises(annals.EndedError, match="removed or moved"):
        journal.flush()
    with pytest.raises(annals.AnnalsError):
        journal.close()


def test_an_exclusive_journal_refuses_another_interpreter(start: Any, directory: Path) -> None:
    with annals.open(directory, sharing="exclusive"):
        code, _, err = finish(start("raise SystemExit('opened')"))
        assert code == 1
        assert "BusyError" in err


def test_errors_say_their_kind() -> None:
    assert issubclass(annals.NotFoundError, LookupError)
    assert issubclass(annals.InvalidInputError, ValueError)
    for error in [annals.BusyError, annals.EndedError, annals.ConflictError, annals.DamagedError]:
        assert issubclass(error, annals.AnnalsError)
        assert error.__doc__
