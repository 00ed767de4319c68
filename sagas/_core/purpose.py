"""Purposes for which a saga schedules activities."""

from enum import StrEnum


class Purpose(StrEnum):
    """What a saga does an activity for."""

    STEP = "step"
    BEST_EFFORT = "best-effort"
    PIVOT = "pivot"
    RETRIABLE = "retriable"
    """A step after the pivot."""
    COMPENSATION = "compensation"
    PROBE = "probe"
    AFTERWARDS = "afterwards"
