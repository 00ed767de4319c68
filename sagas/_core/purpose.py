"""The purposes of a saga's activities."""

from enum import StrEnum


class Purpose(StrEnum):
    """The purpose of an activity in a saga."""

    STEP = "step"
    BEST_EFFORT = "best-effort"
    PIVOT = "pivot"
    RETRIABLE = "retriable"
    """A step after the pivot."""
    COMPENSATION = "compensation"
    CONFIRMATION = "confirmation"
    """The start of the first confirmation is a pivot."""
    PROBE = "probe"
    AFTER_COMPENSATION = "after-compensation"
