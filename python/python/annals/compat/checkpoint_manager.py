"""The predecessor's `utils.checkpoint_manager` over a registry of checkpoints."""

from __future__ import annotations

import io
import math
import pickle
from typing import Any

from annals.compat import _journal
from annals.compat.database_manager import CheckpointMetadata, get_database_manager

__all__ = [
    "CheckpointManager",
    "get_best_checkpoint_metadata",
    "get_checkpoint_manager",
    "get_checkpoint_metadata_fast",
    "list_checkpoints",
    "load_best_checkpoint",
    "save_checkpoint",
]


def _weights(model: Any, model_name: str, model_type: str) -> tuple[bytes, str]:
    """The bytes of a model and the ending of their file.

    Bytes stay as they are. A torch module is saved with `torch.save`, in the predecessor's
    dictionary. Anything else is pickled.
    """
    if isinstance(model, (bytes, bytearray, memoryview)):
        return bytes(model), "bin"
    if hasattr(model, "state_dict"):
        try:
            import torch  # type: ignore[import-not-found]
        except ImportError:
            return pickle.dumps(model.state_dict()), "pkl"
        buffer = io.BytesIO()
        content = {
            "model_state_dict": model.state_dict(),
            "model_name": model_name,
            "model_type": model_type,
        }
        torch.save(content, buffer)
        return buffer.getvalue(), "pt"
    return pickle.dumps(model), "pkl"


def _as_text(value: Any) -> Any:
    """Metadata that JSON can hold: keys as text, and as text what JSON has no word for."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): _as_text(part) for key, part in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_as_text(part) for part in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value if -(2**63) <= value < 2**63 else str(value)
    return value if value is None or isinstance(value, (bool, str)) else str(value)


def save_checkpoint(
    model: Any,
    model_name: str,
    model_type: str,
    performance_metrics: dict[str, float],
    training_metadata: dict[str, Any] | None = None,
    force_save: bool = False,
) -> CheckpointMetadata | None:
    """Saves a model and its metadata, and makes it the active one. Waits for the disk.

    `force_save` is taken for compatibility: every checkpoint is saved.
    """
    weights, extension = _weights(model, model_name, model_type)
    registry = _journal.journal().registry()
    saved = registry.save(
        model_name,
        weights,
        extension=extension,
        model_type=model_type,
        metrics={name: float(value) for name, value in performance_metrics.items()},
        metadata=_as_text(training_metadata or {}),
    )
    registry.activate(saved.id)
    found = [one for one in list_checkpoints(model_name) if one.checkpoint_id == saved.id]
    return found[0] if found else None


def load_best_checkpoint(
    model_name: str, metric_name: str | None = None
) -> tuple[str, CheckpointMetadata] | None:
    """The path of the best checkpoint's file, and its metadata; None if there is none."""
    best = get_best_checkpoint_metadata(model_name, metric_name)
    return None if best is None else (best.file_path, best)


def get_best_checkpoint_metadata(
    model_name: str, metric_name: str | None = None
) -> CheckpointMetadata | None:
    """The best checkpoint's metadata; see `DatabaseManager.get_best_checkpoint_metadata`."""
    return get_database_manager().get_best_checkpoint_metadata(model_name, metric_name)


def get_checkpoint_metadata_fast(model_name: str) -> CheckpointMetadata | None:
    """The same, under the orchestrator's name. No weights are read."""
    return get_best_checkpoint_metadata(model_name)


def list_checkpoints(model_name: str) -> list[CheckpointMetadata]:
    """The checkpoints of a model, newest first."""
    return get_database_manager().list_checkpoints(model_name)


class CheckpointManager:
    """The predecessor's manager; its calls are those of the module."""

    save_checkpoint = staticmethod(save_checkpoint)
    load_best_checkpoint = staticmethod(load_best_checkpoint)
    get_best_checkpoint_metadata = staticmethod(get_best_checkpoint_metadata)
    get_checkpoint_metadata_fast = staticmethod(get_checkpoint_metadata_fast)
    list_checkpoints = staticmethod(list_checkpoints)


_manager = CheckpointManager()


def get_checkpoint_manager() -> CheckpointManager:
    """The manager."""
    return _manager
