"""The request and the result of the workflow that rescues a saga."""

from pydantic import BaseModel, ConfigDict

from .._core.compensation import PlanItem
from .operator_requests import ManualResolution, OperatorRequest

RESCUE_TYPE = "saga-rescue"
"""The type of the rescue workflow."""
PART = "saga-rescue-part"
"""The signal with one chunk of the pending compensations, for requests larger than one message."""


class PendingCompensations(BaseModel):
    """The pending compensations of a saga that was terminated or timed out, rebuilt from the saga's history.

    Args:
        owed: The compensations, the first to run first.
        unaccounted: The children whose pending compensations are unknown.
    """

    model_config = ConfigDict(frozen=True)

    owed: tuple[PlanItem, ...] = ()
    unaccounted: tuple[str, ...] = ()


class RescueRequest(OperatorRequest):
    """Starts a workflow that runs the pending compensations of a saga.

    Args:
        saga: The id of the saga.
        run_id: The run that was terminated or timed out.
        owed: See `PendingCompensations`.
        unaccounted: See `PendingCompensations`.
        is_in_parts: Whether both are too large for the request and follow in signals.
    """

    saga: str
    run_id: str = ""
    owed: tuple[PlanItem, ...] = ()
    unaccounted: tuple[str, ...] = ()
    is_in_parts: bool = False

    @property
    def pending(self) -> PendingCompensations:
        """The pending compensations in the request; empty where the chunks follow in signals."""
        return PendingCompensations(owed=self.owed, unaccounted=self.unaccounted)


class RescueResult(BaseModel):
    """The result of a rescue workflow.

    Args:
        compensated: The addresses of the compensated steps, in the order of the request.
        by_hand: The manually resolved steps, by address.
    """

    model_config = ConfigDict(frozen=True)

    compensated: tuple[str, ...]
    by_hand: dict[str, ManualResolution] = {}
