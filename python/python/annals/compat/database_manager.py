"""The predecessor's `utils.database_manager` over a journal."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from annals.compat import _journal

__all__ = ["CheckpointMetadata", "DatabaseManager", "InferenceRecord", "get_database_manager"]


@dataclass
class InferenceRecord:
    """An inference, in the predecessor's fields. The time is aware, in UTC."""

    model_name: str
    timestamp: datetime
    symbol: str
    action: str
    confidence: float
    probabilities: dict[str, float] = field(default_factory=dict)
    input_features_hash: str | None = None
    processing_time_ms: float | None = None
    memory_usage_mb: float | None = None
    checkpoint_id: str | None = None
    metadata: dict[str, Any] | None = None


@dataclass
class CheckpointMetadata:
    """What is known of a checkpoint without its weights.

    The metrics are attributes too: `metadata.loss` is `metadata.performance_metrics["loss"]`.
    """

    checkpoint_id: str
    model_name: str
    model_type: str
    timestamp: datetime
    performance_metrics: dict[str, float]
    training_metadata: dict[str, Any]
    file_path: str
    file_size_mb: float
    is_active: bool = True

    def __getattr__(self, name: str) -> Any:
        # Only for names that are no field.
        metrics = self.__dict__.get("performance_metrics", {})
        if name in metrics:
            return metrics[name]
        raise AttributeError(f"the checkpoint has no metric {name!r}: it has {sorted(metrics)}")


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text + "+00:00")


def _metadata(row: dict[str, Any]) -> CheckpointMetadata:
    return CheckpointMetadata(
        checkpoint_id=row["checkpoint_id"],
        model_name=row["model_name"],
        model_type=row["model_type"] or "",
        timestamp=_time(row["timestamp"]),
        performance_metrics=json.loads(row["performance_metrics"] or "{}"),
        training_metadata=json.loads(row["training_metadata"] or "{}"),
        file_path=row["file_path"],
        file_size_mb=row["file_size_mb"],
        is_active=bool(row["is_active"]),
    )


def _is_lower_better(metric: str) -> bool:
    return any(word in metric.lower() for word in ("loss", "error", "rmse", "mae", "mse"))


class DatabaseManager:
    """Queries over the journal, with the predecessor's names."""

    def log_inference(self, record: InferenceRecord) -> bool:
        """Records an inference. Whether it was queued; it is on disk within 200 ms."""
        from annals.compat.inference_logger import _log

        return _log(
            model_name=record.model_name,
            symbol=record.symbol,
            action=record.action,
            confidence=record.confidence,
            probabilities=record.probabilities,
            input_features=None,
            processing_time_ms=record.processing_time_ms,
            checkpoint_id=record.checkpoint_id,
            metadata=record.metadata,
            event_time=record.timestamp,
            features_hash=record.input_features_hash,
            memory_mb=record.memory_usage_mb,
        )

    def get_recent_inferences(self, model_name: str, limit: int = 100) -> list[InferenceRecord]:
        """The newest inferences of a model, newest first. Repeats are left out."""
        rows = _journal.sql(
            "SELECT * FROM inference_records "
            f"WHERE model_name = {_journal.quoted(model_name)} ORDER BY id DESC LIMIT {int(limit)}"
        )
        return [
            InferenceRecord(
                model_name=row["model_name"],
                timestamp=_time(row["timestamp"]),
                symbol=row["symbol"],
                action=row["action"],
                confidence=row["confidence"],
                probabilities=json.loads(row["probabilities"] or "{}"),
                input_features_hash=row["input_features_hash"],
                processing_time_ms=row["processing_time_ms"],
                memory_usage_mb=row["memory_usage_mb"],
                checkpoint_id=row["checkpoint_id"],
                metadata=json.loads(row["metadata"]) if row["metadata"] else None,
            )
            for row in rows.dicts()
        ]

    def list_checkpoints(self, model_name: str) -> list[CheckpointMetadata]:
        """The checkpoints of a model, newest first. No weights are read."""
        rows = _journal.sql(
            "SELECT * FROM checkpoint_metadata "
            f"WHERE model_name = {_journal.quoted(model_name)} "
            "ORDER BY timestamp DESC, checkpoint_id DESC"
        )
        return [_metadata(row) for row in rows.dicts()]

    def get_best_checkpoint_metadata(
        self, model_name: str, metric_name: str | None = None
    ) -> CheckpointMetadata | None:
        """The checkpoint with the best value of a metric; None if there is none.

        Without a name the metric is `accuracy`, or `loss` where no checkpoint has an accuracy. Less
        is better for losses and errors. Among equal ones the newest is taken; without any metric
        the newest of all.
        """
        known = self.list_checkpoints(model_name)
        names = [metric_name] if metric_name else ["accuracy", "loss"]
        for name in names:
            ranked = [
                checkpoint
                for checkpoint in known
                if isinstance(checkpoint.performance_metrics.get(name), (int, float))
            ]
            if ranked:
                sign = 1 if _is_lower_better(name) else -1
                return min(ranked, key=lambda one: sign * one.performance_metrics[name])
        return known[0] if known and not metric_name else None

    def get_model_performance(self, model_name: str) -> list[dict[str, Any]]:
        """The daily figures of a model, by days in UTC, oldest first."""
        rows = _journal.sql(
            "SELECT * FROM model_performance "
            f"WHERE model_name = {_journal.quoted(model_name)} ORDER BY date"
        )
        return rows.dicts()

    def cleanup_old_records(self, days_to_keep: int = 30) -> int:
        """Removes old inferences; see `InferenceLogger.cleanup_old_logs`."""
        from annals.compat.inference_logger import get_inference_logger

        return get_inference_logger().cleanup_old_logs(days_to_keep)


_manager = DatabaseManager()


def get_database_manager(db_path: str | None = None) -> DatabaseManager:
    """The manager of the journal in the directory of `db_path`.

    The predecessor's path named a file, `data/trading_system.db`. The journal lies beside it.
    """
    if db_path is not None:
        path = os.fspath(db_path)
        _journal.configure(os.path.dirname(path) or "." if path.endswith(".db") else path)
    return _manager
