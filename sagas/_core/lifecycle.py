"""The phases of a saga."""

from enum import StrEnum


class Phase(StrEnum):
    """Where a saga is on its way; it never goes back."""

    FORWARD = "forward"
    PAST_PIVOT = "past-pivot"
    COMPENSATING = "compensating"
