"""The predecessor's calls over a journal."""

# What may be None is there in these tests.
# pyright: reportOptionalMemberAccess=false, reportArgumentType=false

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import annals
import pytest
from annals import compat

np = pytest.importorskip("numpy")


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data"
    compat.configure(path)
    yield path
    compat.close()


def log(number=0, **options):
    given = {
        "model_name": "dqn_agent",
        "symbol": "ETH/USDT",
        "action": "BUY",
        "confidence": 0.85,
        "probabilities": {"BUY": 0.85, "SELL": 0.10, "HOLD": 0.05},
        "input_features": [float(number), 1.0],
        "processing_time_ms": 12.5,
        "checkpoint_id": "dqn_agent_20250725_143500",
    }
    return compat.log_model_inference(**{**given, **options})


def save(name="dqn_agent", **metrics):
    return compat.save_checkpoint(
        model={"weights": [1, 2]},
        model_name=name,
        model_type="rl",
        performance_metrics=metrics or {"loss": 0.0234, "accuracy": 0.87},
        training_metadata={"epochs": 100, "lr": 0.001, "layers": [64, 64]},
    )


def test_the_demonstration_runs_with_other_imports(tmp_path):
    script = Path(__file__).with_name("demo_logging_system.py")
    environment = {**os.environ, "ANNALS_DIR": str(tmp_path / "data")}
    done = subprocess.run(
        [sys.executable, str(script)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "loss 0.0234" in lines
    assert "checkpoints 1" in lines
    assert "inferences 4" in lines
    recent = [line for line in lines if "| dqn_agent" in line]
    assert len(recent) == 4
    assert "ETH/USDT" in recent[0]
    assert "BUY" in recent[0]
    assert "time=  12.5ms [checkpoint: dqn_agent_20250725_143500]" in recent[0]
    # The journal was closed: another process has all of it.
    with annals.Reader(tmp_path / "data") as reader:
        assert reader.decisions().count() == 4


def test_inferences_are_records(data):
    assert log(1) is True
    assert log(2, action="SELL", metadata={"spread": 1.5, "book": [1, 2], "none": None}) is True
    records = compat.get_database_manager().get_recent_inferences("dqn_agent", limit=10)
    assert [record.action for record in records] == ["SELL", "BUY"]
    newest = records[0]
    assert newest.probabilities == {"BUY": 0.85, "SELL": 0.1, "HOLD": 0.05}
    assert newest.metadata == {"spread": 1.5, "book": "[1, 2]"}
    assert newest.processing_time_ms == 12.5
    assert len(newest.input_features_hash) == 16
    assert abs(newest.timestamp - datetime.now(timezone.utc)) < timedelta(hours=1)
    moved = compat.InferenceRecord(
        "dqn_agent", newest.timestamp, "ETH/USDT", "HOLD", 0.5, {"HOLD": 0.5}
    )
    assert compat.get_database_manager().log_inference(moved) is True
    again = compat.get_database_manager().get_recent_inferences("dqn_agent", limit=1)
    assert again[0].timestamp == newest.timestamp
    assert again[0].action == "HOLD"


def test_features_have_any_shape(data):
    class Tensor:
        """As torch has them: on a device, with a gradient."""

        def detach(self):
            return self

        def cpu(self):
            return self

        def numpy(self):
            return np.ones((2, 3), dtype=np.float16)

    for number, features in enumerate(
        [
            np.ones((3, 4)),
            np.ones(4, dtype=np.int64),
            np.ones((4, 4), dtype=np.float32)[:, ::2],
            [[1, 2], [3, [4, 5]], 6],
            (1.0, 2),
            Tensor(),
            None,
        ]
    ):
        assert log(number, input_features=features) is True, features
    assert len(compat.get_database_manager().get_recent_inferences("dqn_agent")) == 7


def test_figures_of_a_model(data):
    for number in range(4):
        log(number, action="BUY" if number else "SELL", confidence=0.5 + 0.1 * number)
    stats = compat.get_inference_logger().get_model_stats("dqn_agent", hours=24)
    assert stats["total_inferences"] == 4
    assert stats["avg_confidence"] == pytest.approx(0.65)
    assert stats["avg_processing_time_ms"] == pytest.approx(12.5)
    assert stats["action_distribution"] == {"BUY": 3, "SELL": 1}
    nobody = compat.get_inference_logger().get_model_stats("nobody")
    assert nobody["total_inferences"] == 0
    assert nobody["avg_confidence"] is None
    days = compat.get_database_manager().get_model_performance("dqn_agent")
    assert sum(day["total_predictions"] for day in days) == 4


def test_checkpoints_are_saved_and_ranked(data):
    assert compat.load_best_checkpoint("dqn_agent") is None
    assert compat.get_checkpoint_metadata_fast("dqn_agent") is None
    assert compat.list_checkpoints("dqn_agent") == []
    first = save(loss=0.5, accuracy=0.9)
    second = save(loss=0.1, accuracy=0.8)
    assert first.training_metadata["epochs"] == 100
    assert first.model_type == "rl"
    assert [one.checkpoint_id for one in compat.list_checkpoints("dqn_agent")] == [
        second.checkpoint_id,
        first.checkpoint_id,
    ]
    loaded: Any = compat.load_best_checkpoint("dqn_agent")
    path, best = loaded
    assert best.checkpoint_id == first.checkpoint_id
    assert best.loss == 0.5
    with pytest.raises(AttributeError, match="'sharpe'"):
        _ = best.sharpe
    with open(path, "rb") as file:
        assert pickle.load(file) == {"weights": [1, 2]}
    assert best.file_size_mb > 0
    lowest = compat.get_best_checkpoint_metadata("dqn_agent", "loss")
    assert lowest.checkpoint_id == second.checkpoint_id
    active = [one for one in compat.list_checkpoints("dqn_agent") if one.is_active]
    assert [one.checkpoint_id for one in active] == [second.checkpoint_id]
    only_loss = save("cnn", loss=0.3)
    assert compat.get_checkpoint_metadata_fast("cnn").checkpoint_id == only_loss.checkpoint_id


def test_text_lines_and_events(data):
    logger = compat.get_text_logger()
    for number in range(3):
        log(number)
    assert logger.log_system_event("WARNING", "the feed is stale", "feed") is True
    assert logger.log_system_event("STARTUP", "hello") is True
    assert logger.log_checkpoint_event("dqn_agent", "LOADED", "epoch_7", "by hand") is True
    lines = logger.get_recent_inferences(lines=2)
    assert len(lines) == 2
    assert all("dqn_agent" in line and "conf=0.850" in line for line in lines)
    events = compat.journal()
    events.flush()
    rows = events.sql("SELECT level, component, message FROM events WHERE kind = 'system'")
    messages = [row[2] for row in rows]
    assert "the feed is stale" in messages
    assert "STARTUP: hello" in messages
    rows = events.sql("SELECT message FROM events WHERE kind <> 'system'")
    assert any("by hand" in str(row[0]) for row in rows)
    assert logger.cleanup_old_logs(max_lines=10_000) == 0
    assert compat.get_inference_logger().cleanup_old_logs(days_to_keep=30) == 0


def test_the_path_of_the_database_names_the_directory(tmp_path):
    compat.get_database_manager(str(tmp_path / "other" / "trading_system.db"))
    try:
        assert log(1) is True
        compat.close()
        with annals.Reader(tmp_path / "other") as reader:
            assert reader.decisions().count() == 1
    finally:
        compat.close()
