"""How a workflow ended, told from the event of its end, in its own history or in its parent's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import cast

from pydantic import ValidationError
from temporalio.api.common.v1 import Memo, Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError

from .._core.compensation import PlanItem
from .._core.lifecycle import ManualResolution
from .._wire.child_saga import CHILD_MEMO, ChildResult
from .._wire.continued_state import CARRIED_MEMO, ContinuedState
from .._wire.failures import SAGA_COMPENSATED, SAGA_SETTLED, reports_pending


class CloseStatus(StrEnum):
    """How a workflow closed."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    TERMINATED = "terminated"
    TIMED_OUT = "timed-out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """The end of a workflow, and what it says to a parent."""

    how: CloseStatus
    at: datetime
    kind: str = ""
    """The type of the error that it failed with."""
    is_silent: bool = False
    """Whether that error does not say what is owed."""
    code: str = ""
    reason: str = ""
    input_field: str | None = None
    """The input that broke a rule, where the error of a compensated saga names a field."""
    manual_resolutions: Mapping[str, ManualResolution] = field(default_factory=dict[str, ManualResolution])
    """The steps that the error of a settled saga reports as resolved manually, by address."""
    owed: tuple[PlanItem, ...] | None = None
    """What a completed child says that it owes; None where its answer does not say."""

    @property
    def is_a_word(self) -> bool:
        """Whether a child that closes so has said what it owes; one that failed has made up for all."""
        if self.how is CloseStatus.COMPLETED:
            return self.owed is not None
        return self.how in (CloseStatus.FAILED, CloseStatus.CANCELED) and not self.is_silent


class ClosureReader:
    """Reads the ends of workflows.

    Args:
        converter: Reads payloads and failures; what a codec has encoded must be decoded already.
    """

    def __init__(self, converter: DataConverter) -> None:
        self._converter = converter

    def of_workflow(self, event: HistoryEvent) -> Closure | None:
        """How the workflow ended with this event, if it did."""
        at = event_time(event)
        match event.event_type:
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
                return self._completed(
                    event.workflow_execution_completed_event_attributes.result.payloads, at
                )
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
                return self._failed(event.workflow_execution_failed_event_attributes.failure, at)
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:
                return Closure(how=CloseStatus.CANCELED, at=at, code="cancelled", reason="it was cancelled")
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
                reason = event.workflow_execution_terminated_event_attributes.reason
                return Closure(how=CloseStatus.TERMINATED, at=at, reason=reason)
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
                return Closure(how=CloseStatus.TIMED_OUT, at=at, reason="its time was over")
            case _:
                return None

    def of_child(self, event: HistoryEvent) -> tuple[int, Closure | None]:
        """The event that asked for the child, and how the child ended with this event, if it did."""
        at = event_time(event)
        match event.event_type:
            case EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED:
                done = event.child_workflow_execution_completed_event_attributes
                return done.initiated_event_id, self._completed(done.result.payloads, at)
            case EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED:
                failed = event.child_workflow_execution_failed_event_attributes
                return failed.initiated_event_id, self._failed(failed.failure, at)
            case EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED:
                cancelled = event.child_workflow_execution_canceled_event_attributes
                close = Closure(how=CloseStatus.CANCELED, at=at, code="cancelled", reason="it was cancelled")
                return cancelled.initiated_event_id, close
            case EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED:
                ended = event.child_workflow_execution_terminated_event_attributes
                return ended.initiated_event_id, Closure(how=CloseStatus.TERMINATED, at=at)
            case EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT:
                late = event.child_workflow_execution_timed_out_event_attributes
                return late.initiated_event_id, Closure(how=CloseStatus.TIMED_OUT, at=at)
            case _:
                return 0, None

    def value(self, payloads: Sequence[Payload]) -> object:
        """The first of them, as JSON has it; None where there is none."""
        if not payloads:
            return None
        value: object = self._converter.payload_converter.from_payload(payloads[0])
        return value

    def carried(self, memo: Memo) -> ContinuedState | None:
        """What a run was given by the one before, where its workflow continued as new."""
        if CARRIED_MEMO not in memo.fields:
            return None
        carried: ContinuedState = self._converter.payload_converter.from_payload(
            memo.fields[CARRIED_MEMO], ContinuedState
        )
        return carried

    def is_pivot(self, memo: Memo) -> bool:
        """Whether a child is its parent's pivot."""
        said = self.value([memo.fields[CHILD_MEMO]])
        return isinstance(said, dict) and bool(cast("dict[str, object]", said).get("is_pivot"))

    def error(self, failure: Failure) -> BaseException:
        """The error that a workflow's code would get."""
        return self._converter.failure_converter.from_failure(failure, self._converter.payload_converter)

    def _completed(self, payloads: Sequence[Payload], at: datetime) -> Closure:
        try:
            closed = ChildResult[object].model_validate(self.value(payloads))
        except ValidationError:
            return Closure(how=CloseStatus.COMPLETED, at=at)
        return Closure(how=CloseStatus.COMPLETED, at=at, owed=closed.owed)

    def _failed(self, failure: Failure, at: datetime) -> Closure:
        error = self.error(failure)
        if not isinstance(error, ApplicationError):
            return Closure(how=CloseStatus.FAILED, at=at, is_silent=True, reason=str(error))
        code, reason = error.type or "failed", error.message
        input_field: str | None = None
        manual_resolutions: Mapping[str, ManualResolution] = {}
        if error.type in (SAGA_COMPENSATED, SAGA_SETTLED):
            first = (*cast("tuple[str | None, ...]", tuple(error.details[:3])), None, None, None)
            code, reason, input_field = first[0] or code, first[1] or reason, first[2]
            if error.details[3:]:
                manual_resolutions = cast("Mapping[str, ManualResolution]", error.details[3])
        return Closure(
            how=CloseStatus.FAILED,
            at=at,
            kind=error.type or code,
            is_silent=not reports_pending(error),
            code=code,
            reason=reason,
            input_field=input_field,
            manual_resolutions=manual_resolutions,
        )


def event_time(event: HistoryEvent) -> datetime:
    """When it happened, in UTC."""
    return event.event_time.ToDatetime(tzinfo=UTC)
