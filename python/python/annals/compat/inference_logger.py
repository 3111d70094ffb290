"""The predecessor's `utils.inference_logger` over a journal."""

from __future__ import annotations

import hashlib
import math
from datetime import datetime, timedelta
from typing import Any

from annals import _annals
from annals.compat import _journal

__all__ = ["InferenceLogger", "get_inference_logger", "log_model_inference"]


def _features(given: Any) -> Any:
    """The features as one row of numbers: arrays of any shape, tensors on any device, lists."""
    if given is None:
        return None
    for step in ("detach", "cpu", "numpy", "to_numpy"):
        if hasattr(given, step):
            given = getattr(given, step)()
    if hasattr(given, "ravel"):
        flat = given.ravel()
        kind = str(getattr(flat, "dtype", ""))
        return flat if kind in ("float32", "float64") else flat.astype("float64")
    flat = []
    rows = [list(given) if hasattr(given, "__iter__") else [given]]
    while rows:
        row = rows.pop()
        for at, item in enumerate(row):
            if isinstance(item, (list, tuple)):
                rows.append(row[at + 1 :])
                rows.append(list(item))
                break
            flat.append(float(item))
    return flat


def _hash(text: str) -> int:
    """A hash of features as 64 bits: its own digits, or a digest of a longer one."""
    try:
        number = int(text, 16)
    except ValueError:
        number = -1
    if 0 <= number < 2**64:
        return number
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def _plain(metadata: dict[str, Any] | None) -> dict[str, Any]:
    """Metadata as attributes: values with parts of their own become text."""
    kept = {}
    for name, value in (metadata or {}).items():
        if value is not None:
            is_plain = isinstance(value, (bool, float, str))
            is_plain = is_plain or (isinstance(value, int) and -(2**63) <= value < 2**63)
            kept[str(name)] = value if is_plain else str(value)
    return kept


def _log(
    model_name: str,
    symbol: str,
    action: str,
    confidence: float | None,
    probabilities: dict[str, float] | None,
    input_features: Any,
    processing_time_ms: float | None,
    checkpoint_id: str | None,
    metadata: dict[str, Any] | None,
    event_time: datetime | None = None,
    features_hash: str | None = None,
    memory_mb: float | None = None,
) -> bool:
    options: dict[str, Any] = {}
    if features_hash is not None:
        options["feature_hash"] = _hash(features_hash)
    if memory_mb is not None and math.isfinite(memory_mb) and memory_mb >= 0:
        options["memory"] = int(memory_mb * 2**20)
    if confidence is not None:
        options["confidence"] = float(confidence)
    if probabilities is not None and len(probabilities) > 0:
        is_named = hasattr(probabilities, "items")
        pairs = probabilities.items() if is_named else enumerate(probabilities)
        options["probabilities"] = {str(label): float(share) for label, share in pairs}
    features = _features(input_features)
    if features is not None:
        options["features"] = features
    if processing_time_ms is not None and math.isfinite(processing_time_ms):
        options["processing_time"] = timedelta(milliseconds=max(0.0, float(processing_time_ms)))
    if checkpoint_id is not None:
        options["checkpoint"] = checkpoint_id
    if metadata:
        options["attributes"] = _plain(metadata)
    if event_time is not None:
        options["event_time"] = event_time if event_time.tzinfo else event_time.astimezone()
    return _journal.journal().log(model_name, symbol, str(action), **options) is not None


def log_model_inference(
    model_name: str,
    symbol: str,
    action: str,
    confidence: float,
    probabilities: dict[str, float] | None = None,
    input_features: Any = None,
    processing_time_ms: float | None = None,
    checkpoint_id: str | None = None,
    metadata: dict[str, Any] | None = None,
) -> bool:
    """Records an inference. Whether it was queued; it is on disk within 200 ms.

    It never waits for the disk. Equal inputs with equal answers are stored once, as repeats.
    """
    return _log(
        model_name,
        symbol,
        action,
        confidence,
        probabilities,
        input_features,
        processing_time_ms,
        checkpoint_id,
        metadata,
    )


class InferenceLogger:
    """The predecessor's logger."""

    def log_inference(self, *args: Any, **options: Any) -> bool:
        """The same as `log_model_inference`."""
        return log_model_inference(*args, **options)

    def get_model_stats(self, model_name: str, hours: float = 24) -> dict[str, Any]:
        """The figures of a model over the last hours, from rollups. Repeats are not counted."""
        stats = _journal.reader().stats(model_name, since=timedelta(hours=hours))
        latency = stats["processing_ns"].get("mean")
        memory = stats["memory_bytes"].get("mean")
        outcomes = stats["outcomes"]
        return {
            "model_name": model_name,
            "period_hours": hours,
            "total_inferences": stats["recorded"],
            "avg_confidence": stats["confidence"].get("mean"),
            "avg_processing_time_ms": None if latency is None else latency / 1e6,
            "avg_memory_usage_mb": None if memory is None else memory / 2**20,
            "action_distribution": {
                row["action"]: row["recorded"] for row in stats["actions"] if row["recorded"]
            },
            "correct_predictions": outcomes.get("correct"),
            "accuracy": outcomes.get("accuracy"),
            "last_inference": stats.get("last"),
        }

    def cleanup_old_logs(self, days_to_keep: int = 30) -> int:
        """Removes entries that are older, from the journal and its text files; how many entries.

        Whole segments are removed, so a part of the oldest day may stay.
        """
        _journal.journal().flush()
        return _annals._remove_old_entries(_journal.directory(), days_to_keep)


_logger = InferenceLogger()


def get_inference_logger() -> InferenceLogger:
    """The logger."""
    return _logger
