"""The request and the result of the workflow that rescues a saga."""

from pydantic import BaseModel, ConfigDict

from .._core.compensation import PlanItem
from .._core.lifecycle import ManualResolution
from .operator_requests import OperatorNote

RESCUE_TYPE = "saga-rescue"


PART = "saga-rescue-part"
"""The signal with a part of what is owed, where that is too large for one message."""


class PendingCompensations(BaseModel):
    """What a saga owes that can no longer pay it itself; plain data, made from its history.

    Args:
        owed: What must be made up for, the first part first.
        unaccounted: Its children of which nobody can tell what they owe.
    """

    model_config = ConfigDict(frozen=True)

    owed: tuple[PlanItem, ...] = ()
    unaccounted: tuple[str, ...] = ()


class RescueRequest(OperatorNote):
    """Has a workflow make up for what a saga owes.

    Args:
        saga: Its id.
        run_id: The run that was cut off.
        owed: As in `PendingCompensations`.
        unaccounted: As in `PendingCompensations`.
        is_in_parts: Whether that was too large to be sent at once, and follows in parts.
    """

    saga: str
    run_id: str = ""
    owed: tuple[PlanItem, ...] = ()
    unaccounted: tuple[str, ...] = ()
    is_in_parts: bool = False

    @property
    def debt(self) -> PendingCompensations:
        """What has come with it."""
        return PendingCompensations(owed=self.owed, unaccounted=self.unaccounted)


class RescueResult(BaseModel):
    """What a rescue has come to.

    Args:
        compensated: The addresses of what it has made up for, in the order in which it was owed.
        by_hand: What a person has settled instead, and how.
    """

    model_config = ConfigDict(frozen=True)

    compensated: tuple[str, ...]
    by_hand: dict[str, ManualResolution] = {}
