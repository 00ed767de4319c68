"""The outcomes of an action."""

from enum import StrEnum


class Outcome(StrEnum):
    """The known outcome of an action."""

    STARTED = "started"
    DONE = "done"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    WITHDRAWN = "withdrawn"
    """Withdrawn before a worker received the action: the action cannot have happened."""
