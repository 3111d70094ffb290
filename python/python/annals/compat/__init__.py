"""The predecessor's modules and calls over a journal: an agent moves over by changing imports.

`from utils.inference_logger import log_model_inference` becomes
`from annals.compat.inference_logger import log_model_inference`. The modules `checkpoint_manager`,
`database_manager` and `text_logger` follow suit, and all names are here too.

The journal is in `ANNALS_DIR`, in `data`, or where `configure` says. It is opened by the first call
and closed when the interpreter ends. Times are aware, in UTC; the predecessor's were local.
"""

from __future__ import annotations

from typing import Any

from annals.compat._journal import close, configure, journal
from annals.compat.checkpoint_manager import (
    CheckpointManager,
    get_best_checkpoint_metadata,
    get_checkpoint_manager,
    get_checkpoint_metadata_fast,
    list_checkpoints,
    load_best_checkpoint,
    save_checkpoint,
)
from annals.compat.database_manager import (
    CheckpointMetadata,
    DatabaseManager,
    InferenceRecord,
    get_database_manager,
)
from annals.compat.inference_logger import (
    InferenceLogger,
    get_inference_logger,
    log_model_inference,
)
from annals.compat.text_logger import TextLogger, get_text_logger

__all__ = [
    "CheckpointManager",
    "CheckpointMetadata",
    "DatabaseManager",
    "InferenceLogger",
    "InferenceRecord",
    "OrchestratorLogging",
    "TextLogger",
    "close",
    "configure",
    "get_best_checkpoint_metadata",
    "get_checkpoint_manager",
    "get_checkpoint_metadata_fast",
    "get_database_manager",
    "get_inference_logger",
    "get_text_logger",
    "journal",
    "list_checkpoints",
    "load_best_checkpoint",
    "log_model_inference",
    "save_checkpoint",
]


class OrchestratorLogging:
    """The two calls that agents make on their orchestrator; a base class for one."""

    def log_model_inference(self, *args: Any, **options: Any) -> bool:
        """Records an inference; see `annals.compat.inference_logger.log_model_inference`."""
        return log_model_inference(*args, **options)

    def get_checkpoint_metadata_fast(self, model_name: str) -> CheckpointMetadata | None:
        """The best checkpoint's metadata, without its weights."""
        return get_checkpoint_metadata_fast(model_name)
