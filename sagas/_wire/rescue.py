"""The request and the result of the workflow that rescues a saga."""

from pydantic import Field

from .._core.compensation import OnStuck, PlanItem
from .._core.lifecycle import ManualResolution
from .operator_requests import OperatorRequest
from .stored_model import StoredModel

RESCUE_TYPE = "saga-rescue"
"""The type of the rescue workflow."""
CHUNK_SIGNAL = "saga-rescue-chunk"
"""The signal with one chunk of the pending compensations, for requests larger than one message."""


class PendingCompensations(StoredModel):
    """The pending compensations of a saga that was terminated or timed out, rebuilt from the saga's history.

    Args:
        compensations: The compensations, the first to run first.
        unresolved_children: The children whose pending compensations are unknown.
        on_stuck: Whether older compensations run while a newer one keeps failing, by the choice of the saga.
    """

    left_out = ("on_stuck",)

    compensations: tuple[PlanItem, ...] = ()
    unresolved_children: tuple[str, ...] = ()
    on_stuck: OnStuck = OnStuck.CONTINUE


class RescueRequest(StoredModel, OperatorRequest):
    """Starts a workflow that runs the pending compensations of a saga.

    Args:
        saga_id: The id of the saga.
        run_id: The run that was terminated or timed out.
        compensations: See `PendingCompensations`.
        unresolved_children: See `PendingCompensations`.
        on_stuck: See `PendingCompensations`.
        is_chunked: Whether both are too large for the request and follow in signals.
    """

    left_out = ("on_stuck",)

    saga_id: str
    run_id: str = ""
    compensations: tuple[PlanItem, ...] = ()
    unresolved_children: tuple[str, ...] = ()
    on_stuck: OnStuck = OnStuck.CONTINUE
    is_chunked: bool = False

    @property
    def pending(self) -> PendingCompensations:
        """The pending compensations in the request; empty where the chunks follow in signals."""
        return PendingCompensations(
            compensations=self.compensations,
            unresolved_children=self.unresolved_children,
            on_stuck=self.on_stuck,
        )


class RescueResult(StoredModel):
    """The result of a rescue workflow.

    Args:
        compensated: The addresses of the compensated steps, in the order of the request.
        manual_resolutions: The manually resolved steps, by address.
    """

    compensated: tuple[str, ...]
    manual_resolutions: dict[str, ManualResolution] = Field(default_factory=dict[str, ManualResolution])
