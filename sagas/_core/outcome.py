"""The outcomes of an action."""

from enum import StrEnum


class Outcome(StrEnum):
    """How an action ended, as far as anybody knows."""

    STARTED = "started"
    DONE = "done"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    WITHDRAWN = "withdrawn"
    """Taken back before it was sent to anybody: it cannot have happened."""
