"""The predecessor's `utils.text_logger` over a journal, which writes the text files itself."""

from __future__ import annotations

from typing import Any

from annals import _annals
from annals.compat import _journal

__all__ = ["TextLogger", "get_text_logger"]

_ACTIONS = ("saved", "loaded", "activated", "deleted", "failed")
_LEVELS = ("trace", "debug", "info", "warn", "error")


class TextLogger:
    """The predecessor's text logger. The journal writes the lines; these calls add to it."""

    def log_inference(self, *args: Any, **options: Any) -> bool:
        """The same as `log_model_inference`."""
        from annals.compat.inference_logger import log_model_inference

        return log_model_inference(*args, **options)

    def log_system_event(self, event_type: str, message: str, component: str = "system") -> bool:
        """Records a system event. A type that names a level is its level; others are `info`."""
        level = event_type.lower().replace("warning", "warn")
        if level not in _LEVELS:
            message = f"{event_type}: {message}"
            level = "info"
        return bool(_journal.journal().event(level, component, message))

    def log_checkpoint_event(
        self, model_name: str, event_type: str, checkpoint_id: str, details: str = ""
    ) -> bool:
        """Records what happened to a checkpoint. The registry does so by itself.

        A type that is none of saved, loaded, activated, deleted and failed makes a system event.
        """
        action = event_type.lower()
        if action in _ACTIONS:
            journal = _journal.journal()
            return bool(journal.checkpoint_event(action, model_name, checkpoint_id, details))
        message = f"{event_type} {checkpoint_id}" + (f": {details}" if details else "")
        return bool(_journal.journal().event("info", model_name, message))

    def get_recent_inferences(self, lines: int = 50) -> list[str]:
        """The last lines of `inference_records.txt`, oldest first, from the journal itself."""
        newest = _journal.reader().decisions(newest_first=True, limit=lines)
        return [decision.line() for decision in newest][::-1]

    def cleanup_old_logs(self, max_lines: int = 10_000) -> int:
        """Shortens each text file to so many lines; how many lines were removed."""
        _journal.journal().flush()
        return _annals._remove_old_lines(_journal.directory(), max_lines)


_logger = TextLogger()


def get_text_logger() -> TextLogger:
    """The text logger."""
    return _logger
