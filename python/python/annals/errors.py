"""The exceptions of annals: one for each next step of the caller.

Every message names the operation, the place and what to do.
"""

from __future__ import annotations


class AnnalsError(Exception):
    """Any error of annals. Catch a subclass to decide what to do next."""


class NotFoundError(AnnalsError, LookupError):
    """There is nothing of that name, or no longer: ask for something else."""


class InvalidInputError(AnnalsError, ValueError):
    """The call cannot work as it was made: change its arguments."""


class UnsupportedError(AnnalsError):
    """The journal cannot do this as it is or as it was opened: open it otherwise."""


class BusyError(AnnalsError):
    """Another process is at work, or time ran out: the same call may succeed later."""


class RefusedBySystemError(AnnalsError):
    """The system refused: look at rights, room and limits, then make the same call again."""


class DamagedError(AnnalsError):
    """Stored bytes are not what was written: restore a backup, or repair."""


class EndedError(AnnalsError):
    """This handle is at its end: drop it, and open the journal again."""


class ConflictError(AnnalsError):
    """The state does not allow it now: look at it anew, and decide again."""
