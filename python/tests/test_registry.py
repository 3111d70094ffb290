"""Checkpoints: saved, found, loaded, watched, retired."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import annals
import numpy as np
import pytest
from conftest import BOUND


@pytest.fixture
def registry(journal: annals.Journal) -> annals.Registry:
    registry = journal.registry()
    registry.set_monitor("dqn", "loss", "min")
    return registry


def test_the_best_checkpoint_is_found_and_loaded(registry: annals.Registry) -> None:
    early = registry.save(
        "dqn",
        b"early",
        metrics={"loss": np.float32(0.5)},
        metadata={"lr": 0.001, "layers": [64, 32], "notes": {"seed": 7, "none": None}},
        tags=["release"],
        step=100,
        epoch=1,
        model_type="rl",
    )
    late = registry.save("dqn", bytearray(b"late"), metrics={"loss": 0.25}, parent=early)
    assert registry.monitor("dqn") == ("loss", "min")
    assert registry.best("dqn") == late
    assert registry.best("dqn", "loss", "max") == early
    assert registry.top_k("dqn", "loss", "min", 5) == [late, early]
    assert registry.latest("dqn") == late
    assert registry.load(late) == b"late"
    assert registry.load(early.id) == b"early"
    assert early.metrics == {"loss": 0.5}
    assert early.metadata["notes"] == {"seed": 7, "none": None}
    assert (early.step, early.epoch, early.model_type) == (100, 1, "rl")
    assert (late.parent, late.size, late.condition) == (early.id, 4, "present")
    assert late.path.read_bytes() == b"late"
    assert early.created.tzinfo is not None
    assert len(early.digest or "") == 64
    assert "loss=0.25" in repr(late)
    assert registry.lineage(late) == [late, early]
    assert registry.models() == ["dqn"]
    assert registry.metrics("dqn") == ["loss"]
    assert len({early, late, registry.get(late.id)}) == 2


def test_files_are_copied_or_stay_where_they_are(registry: annals.Registry, tmp_path: Path) -> None:
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"weights")
    copied = registry.save("dqn", weights)
    assert copied.path.suffix == ".pt"
    assert copied.origin == "saved"
    kept = registry.register("dqn", weights, metrics={"loss": 1})
    assert kept.origin == "registered"
    assert kept.path == weights
    weights.unlink()
    assert registry.load(copied) == b"weights"
    with pytest.raises(annals.NotFoundError):
        registry.load(kept)
    with pytest.raises(annals.RefusedBySystemError, match=r"weights\.pt"):
        registry.save("dqn", str(weights))


class Module:
    """What this package looks at of a torch module."""

    def __init__(self, state: dict[str, Any]) -> None:
        self.state = state

    def state_dict(self) -> dict[str, Any]:
        return self.state


class Tensor:
    """A tensor on a GPU that requires a gradient."""

    def __init__(self, array: np.ndarray[Any, Any], where: str = "cuda") -> None:
        self.array = array
        self.where = where
        self.dtype = f"torch.{array.dtype}"

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> Tensor:
        return Tensor(self.array, "cpu")

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray[Any, Any]:
        assert self.where == "cpu"
        return self.array


def test_states_are_stored_as_safetensors(registry: annals.Registry) -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    state = {"a": array, "b": array.T, "c": Tensor(array[:, ::2]), "d": np.float64(1.5)}
    saved = registry.save("dqn", Module(state))
    assert saved.path.suffix == ".safetensors"
    loaded = registry.load_arrays(saved)
    assert set(loaded) == set(state)
    np.testing.assert_array_equal(loaded["a"], array)
    np.testing.assert_array_equal(loaded["b"], array.T)
    np.testing.assert_array_equal(loaded["c"], array[:, ::2])
    with pytest.raises(annals.InvalidInputError, match="safetensors"):
        registry.load_arrays(registry.save("dqn", b"something else"))


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (7, "got int"),
        ([1.0], "got list"),
        ({"a": object()}, "a is no tensor"),
        ({1: np.zeros(1)}, "name of a tensor"),
    ],
)
def test_what_is_no_weights_is_refused(registry: annals.Registry, weights: Any, said: str) -> None:
    with pytest.raises(annals.InvalidInputError, match=said):
        registry.save("dqn", weights)
    assert registry.latest("dqn") is None


def test_bfloat16_of_torch_is_refused_with_advice(registry: annals.Registry) -> None:
    tensor = Tensor(np.zeros(1, np.float32))
    tensor.cpu = lambda: tensor  # type: ignore[method-assign]
    tensor.dtype = "torch.bfloat16"
    with pytest.raises(annals.InvalidInputError, match=r"\.float\(\)"):
        registry.save("dqn", {"a": tensor})


@pytest.mark.parametrize(
    ("facts", "error"),
    [
        ({"metrics": {"loss": "low"}}, annals.InvalidInputError),
        ({"metrics": [0.1]}, annals.InvalidInputError),
        ({"metadata": {"nan": float("nan")}}, annals.InvalidInputError),
        ({"metadata": {"huge": 1 << 70}}, annals.InvalidInputError),
        ({"tags": "release"}, annals.InvalidInputError),
        ({"step": -1}, annals.InvalidInputError),
        ({"extension": "a/b"}, annals.InvalidInputError),
        ({"metrixs": {}}, TypeError),
    ],
)
def test_facts_that_cannot_be_stored_are_refused(
    registry: annals.Registry, facts: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        registry.save("dqn", b"weights", **facts)
    assert registry.latest("dqn") is None


def test_a_circle_in_metadata_is_refused(registry: annals.Registry) -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(annals.InvalidInputError, match="deep"):
        registry.save("dqn", b"weights", metadata={"circle": circle})


def test_damage_and_unknown_names_are_told_apart(registry: annals.Registry) -> None:
    saved = registry.save("dqn", b"weights", metrics={"loss": 0.5})
    os.chmod(saved.path, 0o600)
    saved.path.write_bytes(b"Weights")
    with pytest.raises(annals.DamagedError, match=saved.id):
        registry.load(saved)
    with pytest.raises(annals.NotFoundError, match="dqn_0"):
        registry.load("dqn_0")
    assert registry.get("dqn_0") is None
    with pytest.raises(annals.NotFoundError):
        registry.best("dqn", "accuracy", "max")
    with pytest.raises(annals.InvalidInputError, match="mode"):
        registry.best("dqn", "loss", "best")  # type: ignore[arg-type]
    with pytest.raises(annals.InvalidInputError, match="together"):
        registry.best("dqn", "loss")
    report = registry.reconcile(contents=True)
    assert [known for known, _ in report["corrupt"]] == [saved.id]


def test_aliases_tags_and_pins(registry: annals.Registry) -> None:
    first, second = (registry.save("dqn", bytes([number])) for number in range(2))
    assert registry.active("dqn") is None
    registry.activate(first)
    registry.activate(second.id)
    assert registry.active("dqn") == second
    assert registry.rollback("dqn", "active") == first
    registry.set_alias("canary", second)
    assert registry.aliases("dqn") == {"active": first.id, "canary": second.id}
    assert registry.alias("dqn", "canary") == second
    assert registry.remove_alias("dqn", "canary")
    assert not registry.remove_alias("dqn", "canary")
    registry.tag(second, "release")
    assert registry.list("dqn", tag="release") == [registry.get(second.id)]
    registry.untag(second, "release")
    registry.pin(second)
    pinned = registry.get(second.id)
    assert pinned is not None
    assert pinned.pinned
    with pytest.raises(annals.ConflictError):
        registry.delete(second, "no need")
    registry.unpin(second)
    assert [one.id for one in registry.list("dqn", limit=1)] == [second.id]
    registry.delete(second, "no need")
    with pytest.raises(annals.NotFoundError, match="no need"):
        registry.load(second)


def test_lists_can_be_narrowed(registry: annals.Registry) -> None:
    for step in range(5):
        registry.save("dqn", b"weights", step=step)
    assert [one.step for one in registry.list("dqn", steps=(1, 3))] == [2, 1]
    assert len(registry.list("dqn", since="1h")) == 5
    assert registry.list("dqn", until="1h") == []


def test_a_plan_deletes_exactly_what_it_lists(registry: annals.Registry) -> None:
    saved = [registry.save("dqn", b"weights", metrics={"loss": n}) for n in range(4)]
    retention = registry.retention("dqn", max_count=1, keep_best=["1:loss:min"])
    assert "max_count=1" in repr(retention)
    plan = retention.plan()
    gone = [saved[1], saved[2]]
    assert {one.id for one in plan.deletions} == {one.id for one in gone}
    assert plan.bytes == 14
    assert all(reason for _, _, reason in plan.lines)
    assert len(registry.list("dqn")) == 4
    assert set(plan.apply()) == {one.id for one in gone}
    assert len(registry.list("dqn")) == 2
    with pytest.raises(annals.ConflictError, match="applied"):
        plan.apply()
    assert "(applied)" in repr(plan)
    registry.save("dqn", b"weights", metrics={"loss": 9})
    outdated = registry.retention("dqn", max_count=1).plan()
    assert [one.id for one in outdated.deletions] == [saved[3].id]
    for one in outdated.deletions:
        registry.pin(one)
    with pytest.raises(annals.ConflictError):
        outdated.apply()
    for rules in [{}, {"max_cuont": 1}, {"max_age": 30}]:
        with pytest.raises(annals.InvalidInputError):
            registry.retention("dqn", **rules).plan()  # type: ignore[arg-type]


def test_a_watch_sees_changes(registry: annals.Registry) -> None:
    best = registry.watch("dqn")
    active = registry.watch("dqn", "active")
    assert best.current() is None
    saved = registry.save("dqn", b"weights", metrics={"loss": 0.5})
    registry.activate(saved)
    deadline = time.monotonic() + BOUND
    while best.current() is None or active.current() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert active.changed() is None
    assert best.current() == saved
    assert "dqn" in repr(best)


def test_a_registry_opens_without_a_journal(registry: annals.Registry, directory: Path) -> None:
    registry.save("dqn", b"weights", metrics={"loss": 0.5})
    other = annals.Registry(directory)
    best = other.best("dqn")
    assert best is not None
    assert other.load(best) == b"weights"
    assert "data" in repr(other)
    with pytest.raises(annals.UnsupportedError):
        annals.in_memory().registry()
