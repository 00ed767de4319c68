"""The close of a workflow, read from the workflow's own history or from the history of the parent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import cast

from pydantic import ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.exceptions import ApplicationError

from .._core.compensation import PendingConfirmation, PlanItem
from .._core.lifecycle import ManualResolution
from .._wire.child_saga import ChildResult
from .._wire.failures import SAGA_COMPENSATED, SAGA_SETTLED, reports_pending
from .event_values import PayloadReader, event_time


class CloseStatus(StrEnum):
    """The close status of a workflow."""

    COMPLETED = "completed"
    """The workflow returned a result."""
    FAILED = "failed"
    """The workflow raised an error; a compensated saga closes so as well."""
    CANCELED = "canceled"
    """The workflow ended after a cancel request; a saga has compensated before."""
    TERMINATED = "terminated"
    """An operator terminated the workflow, and no code of the workflow ran any more."""
    TIMED_OUT = "timed-out"
    """The server closed the workflow at the end of a workflow timeout."""

    @property
    def is_interrupted(self) -> bool:
        """Whether the server closed the workflow before workflow code could compensate."""
        return self in (CloseStatus.TERMINATED, CloseStatus.TIMED_OUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """The close of a workflow."""

    status: CloseStatus
    closed_at: datetime
    error_type: str = ""
    """The type of the error of a failed workflow."""
    code: str = ""
    reason: str = ""
    input_field: str | None = None
    """The input that broke a rule, where the error of a compensated saga names a field."""
    manual_resolutions: Mapping[str, ManualResolution] = field(default_factory=dict[str, ManualResolution])
    """The steps that the error of a settled saga reports as resolved manually, by address."""
    pending: tuple[PlanItem, ...] | None = None
    """The pending compensations that the close reports to a parent; None where the close reports none.

    A child that failed or was cancelled has compensated before, and reports an empty tuple.
    """
    confirmations: tuple[PendingConfirmation, ...] = ()
    """The pending confirmations that the close of a completed child reports."""

    @property
    def is_completed(self) -> bool:
        """Whether the workflow returned a result."""
        return self.status is CloseStatus.COMPLETED


class ClosureReader:
    """Reads the closes of workflows from events.

    Args:
        payloads: Converts results and failures.
    """

    def __init__(self, payloads: PayloadReader) -> None:
        self._payloads = payloads

    def read_own(self, event: HistoryEvent, *, is_child: bool) -> Closure | None:
        """The close of the workflow in its own history; None for every other event.

        Raises:
            WireFormatError: The workflow is a child saga whose result has another wire format.
        """
        at = event_time(event)
        match event.event_type:
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
                completed = event.workflow_execution_completed_event_attributes
                return self._completed(completed.result.payloads, at, is_child=is_child)
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
                return self._failed(event.workflow_execution_failed_event_attributes.failure, at)
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:
                return _canceled(at)
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
                reason = event.workflow_execution_terminated_event_attributes.reason
                return Closure(status=CloseStatus.TERMINATED, closed_at=at, reason=reason)
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
                return Closure(
                    status=CloseStatus.TIMED_OUT, closed_at=at, reason="a workflow timeout expired"
                )
            case _:
                return None

    def read_child(self, event: HistoryEvent, *, is_independent: bool = False) -> Closure | None:
        """The close of a child saga in the history of the parent; None for every other event.

        Args:
            event: An event of the parent.
            is_independent: Whether the child is an independent saga, whose result has no compensations.

        Raises:
            WireFormatError: The result of the child has another wire format.
        """
        at = event_time(event)
        match event.event_type:
            case EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED:
                completed = event.child_workflow_execution_completed_event_attributes
                return self._completed(completed.result.payloads, at, is_child=not is_independent)
            case EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED:
                return self._failed(event.child_workflow_execution_failed_event_attributes.failure, at)
            case EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED:
                return _canceled(at)
            case EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED:
                return Closure(status=CloseStatus.TERMINATED, closed_at=at)
            case EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT:
                return Closure(status=CloseStatus.TIMED_OUT, closed_at=at)
            case _:
                return None

    def _completed(self, payloads: Sequence[Payload], at: datetime, *, is_child: bool) -> Closure:
        """The close of a completed workflow; only the result of a child saga has pending compensations."""
        value = self._payloads.first_value(payloads) if is_child else None
        try:
            result = ChildResult[object].from_json_value(value)
        except ValidationError:
            return Closure(status=CloseStatus.COMPLETED, closed_at=at)
        return Closure(
            status=CloseStatus.COMPLETED,
            closed_at=at,
            pending=result.compensations,
            confirmations=result.confirmations,
        )

    def _failed(self, failure: Failure, at: datetime) -> Closure:
        error = self._payloads.error(failure)
        if not isinstance(error, ApplicationError):
            return Closure(status=CloseStatus.FAILED, closed_at=at, reason=str(error))
        code, reason = error.type or "failed", error.message
        input_field: str | None = None
        manual_resolutions: Mapping[str, ManualResolution] = {}
        if error.type in (SAGA_COMPENSATED, SAGA_SETTLED):
            details = (*cast("tuple[str | None, ...]", tuple(error.details[:3])), None, None, None)
            code, reason, input_field = details[0] or code, details[1] or reason, details[2]
            if error.details[3:]:
                manual_resolutions = cast("Mapping[str, ManualResolution]", error.details[3])
        return Closure(
            status=CloseStatus.FAILED,
            closed_at=at,
            error_type=error.type or code,
            code=code,
            reason=reason,
            input_field=input_field,
            manual_resolutions=manual_resolutions,
            pending=() if reports_pending(error) else None,
        )


def _canceled(at: datetime) -> Closure:
    return Closure(
        status=CloseStatus.CANCELED,
        closed_at=at,
        code="cancelled",
        reason="it was cancelled",
        pending=(),
    )
