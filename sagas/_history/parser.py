"""Reads a workflow's history, without running any of its code: no I/O, no clock."""

from collections.abc import Iterable
from datetime import datetime
from typing import cast

from pydantic import TypeAdapter, ValidationError
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.converter import DataConverter
from temporalio.exceptions import ActivityError, CancelledError, FailureError

from .._core.activity_outcome import ActivityOutcome
from .._core.ids import COMPENSATE, PROBE
from .._core.outcome import Outcome
from .._core.status import Status
from .._wire.activity_header import HEADER, read_header
from .._wire.child_saga import CHILD_MEMO
from .._wire.failures import outcome_of_failure
from .._wire.operator_requests import APPROVE, COMPLETE, HOLD, RESUME, RETRY, SKIP, AuditEntry
from .._wire.operator_requests import COMPENSATE as COMPENSATE_NOW
from .._wire.rescue import PART
from .._wire.search_attribute import SAGA_STATUS
from .closure import ClosureReader, event_time
from .saga_record import ActivityRecord, ChildRecord, SagaRecord, VerbRecord

VERBS = frozenset({HOLD, RESUME, RETRY, SKIP, COMPLETE, COMPENSATE_NOW, APPROVE})
PASSED_ON = {HOLD: Status.HELD, RESUME: Status.RUNNING}
"""What a saga has its children do as well, and what each says when it has done so."""

FAULTS = frozenset(
    {
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE,
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR,
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_SCHEDULE_ACTIVITY_DUPLICATE_ID,
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_PAYLOADS_TOO_LARGE,
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_GRPC_MESSAGE_TOO_LARGE,
    }
)
"""Why a workflow task fails whose code is wrong; the others are the server's, or mend themselves."""


def read_history(saga_id: str, events: Iterable[HistoryEvent], converter: DataConverter) -> SagaRecord:
    """Reads the events of a saga's run, or of its runs one after the other where it continued as new.

    Args:
        saga_id: Whose history it is.
        events: From the first on; they may end anywhere.
        converter: Reads payloads and failures; what a codec has encoded must be decoded already.
    """
    reader = _Reader(SagaRecord(saga_id), converter)
    for event in events:
        reader.read(event)
    return reader.record


class _Reader:
    """Goes through events; what belongs together is joined by the ids of events."""

    def __init__(self, record: SagaRecord, converter: DataConverter) -> None:
        self.record = record
        self._closes = ClosureReader(converter)
        self._efforts: dict[int, ActivityRecord] = {}
        self._begun: dict[int, int] = {}
        self._children: dict[int, ChildRecord] = {}
        self._asked: dict[int, VerbRecord] = {}
        self._told: VerbRecord | None = None

    def read(self, event: HistoryEvent) -> None:
        """Notes what an event says; one that says nothing of a saga is passed over."""
        name = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_")
        if name.startswith("ACTIVITY_TASK_"):
            self._read_activity(name.removeprefix("ACTIVITY_TASK_"), event)
        elif "CHILD_WORKFLOW_EXECUTION" in name:
            self._read_child(name, event)
        elif name.startswith("WORKFLOW_EXECUTION_UPDATE_"):
            self._read_update(event)
        elif name.startswith("WORKFLOW_TASK_"):
            self._read_task(event)
        elif name.startswith("TIMER_"):
            self._read_timer(event)
        else:
            self._read_workflow(event)

    def _read_workflow(self, event: HistoryEvent) -> None:
        record, at = self.record, event_time(event)
        match event.event_type:
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
                self._start(event)
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
                cause = event.workflow_execution_cancel_requested_event_attributes.cause
                record.cancels.append((at, cause))
            case (
                EventType.EVENT_TYPE_WORKFLOW_EXECUTION_PAUSED
                | EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UNPAUSED
            ):
                record.is_paused = event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_PAUSED
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
                signal = event.workflow_execution_signaled_event_attributes
                if signal.signal_name == PART and len(signal.input.payloads) == 1:
                    record.parts.append(self._closes.value(signal.input.payloads))
                elif signal.signal_name in PASSED_ON:
                    self._told = _verb(signal.signal_name, at, self._closes.value(signal.input.payloads))
            case EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:
                fields = (
                    event.upsert_workflow_search_attributes_event_attributes.search_attributes.indexed_fields
                )
                if SAGA_STATUS.name in fields:
                    self._note_status(TypeAdapter(str).validate_json(fields[SAGA_STATUS.name].data), at)
            case EventType.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED:
                memo = event.workflow_properties_modified_event_attributes.upserted_memo.fields
                if SAGA_STATUS.name in memo:
                    self._note_status(str(self._closes.value([memo[SAGA_STATUS.name]])), at)
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
                record.continued_as = (
                    event.workflow_execution_continued_as_new_event_attributes.new_execution_run_id
                )
            case _:
                record.close = record.close or self._closes.of_workflow(event)

    def _note_status(self, status: str, at: datetime) -> None:
        """Notes what it says of itself; if that is what its parent was told, it has followed."""
        self.record.note_status(status, at)
        if self._told is not None and PASSED_ON[self._told.entry.verb] == status:
            self.record.verbs.append(self._told)
        self._told = None

    def _start(self, event: HistoryEvent) -> None:
        """The start of a run; one that goes on from another begins with what that had come to."""
        record, started = self.record, event.workflow_execution_started_event_attributes
        record.type, record.task_queue = started.workflow_type.name, started.task_queue.name
        record.continued_from = record.continued_from or started.continued_execution_run_id
        record.first_run_id = started.first_execution_run_id
        if CHILD_MEMO in started.memo.fields:
            record.parent = started.parent_workflow_execution.workflow_id
            record.root = started.root_workflow_execution.workflow_id or record.parent
        record.started_at = record.started_at or event_time(event)
        record.request = self._closes.value(started.input.payloads)
        record.continued_as, record.is_paused = "", False
        record.timers.clear()
        if carried := self._closes.carried(started.memo):
            record.carried, record.first = carried, len(record.lines)
        for known in (self._efforts, self._begun, self._children, self._asked):
            known.clear()

    def _read_task(self, event: HistoryEvent) -> None:
        has_ended = event.event_type not in (
            EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED,
            EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED,
        )
        self.record.has_news = not has_ended
        self.record.reset_point = event.event_id if has_ended else event.event_id + 1
        failed = event.workflow_task_failed_event_attributes
        if failed.cause == WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW:
            self.record.resets.append((event_time(event), failed.failure.message))
            self.record.fault = None
        elif failed.cause in FAULTS:
            since = self.record.fault[0] if self.record.fault else event_time(event)
            error = self._closes.error(failed.failure)
            message = error.message if isinstance(error, FailureError) else ""
            self.record.fault = since, message or str(error)
        elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
            self.record.fault = None

    def _read_timer(self, event: HistoryEvent) -> None:
        """What a saga waits for stands in the summaries of its timers."""
        if event.event_type == EventType.EVENT_TYPE_TIMER_STARTED:
            fires_after = event.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta()
            summary = event.user_metadata.summary
            what = self._closes.value([summary]) if event.user_metadata.HasField("summary") else ""
            self.record.timers[event.event_id] = (event_time(event) + fires_after, str(what))
            return
        ended = event.timer_fired_event_attributes, event.timer_canceled_event_attributes
        for attributes in ended:
            self.record.timers.pop(attributes.started_event_id, None)

    def _read_activity(self, name: str, event: HistoryEvent) -> None:
        match name:
            case "SCHEDULED":
                self._schedule(event)
            case "STARTED":
                begun = event.activity_task_started_event_attributes
                if effort := self._efforts.get(begun.scheduled_event_id):
                    effort.attempts = begun.attempt
                    self._begun[begun.scheduled_event_id] = event.event_id
            case "COMPLETED":
                completed = event.activity_task_completed_event_attributes
                result = self._closes.value(completed.result.payloads)
                self._end(event, completed.scheduled_event_id, ActivityOutcome(Outcome.DONE, result))
            case "FAILED":
                failed = event.activity_task_failed_event_attributes
                self._fail(event, failed.scheduled_event_id, failed.failure)
            case "TIMED_OUT":
                late = event.activity_task_timed_out_event_attributes
                self._fail(event, late.scheduled_event_id, late.failure)
            case "CANCELED":
                cancelled = event.activity_task_canceled_event_attributes
                self._fail(event, cancelled.scheduled_event_id, None)
            case _:
                return

    def _schedule(self, event: HistoryEvent) -> None:
        """Only what has a saga's mark is a saga's; any other activity is the workflow's own business."""
        scheduled = event.activity_task_scheduled_event_attributes
        try:
            mark = read_header(scheduled.header.fields[HEADER])
        except ValidationError:
            return
        address = scheduled.activity_id.removeprefix(COMPENSATE).removeprefix(PROBE)
        effort = ActivityRecord(
            address=address,
            activity=scheduled.activity_type.name,
            mark=mark,
            arguments=tuple(self._closes.value([payload]) for payload in scheduled.input.payloads),
            scheduled_at=event_time(event),
            most=scheduled.retry_policy.maximum_attempts,
        )
        self._efforts[event.event_id] = effort
        self.record.lines.append(effort)

    def _fail(self, event: HistoryEvent, scheduled: int, failure: Failure | None) -> None:
        """An end other than well: told by the same rules as in the workflow."""
        if (effort := self._efforts.get(scheduled)) is None:
            return
        cause = CancelledError("Cancelled") if failure is None else self._closes.error(failure)
        error = ActivityError(
            "",
            scheduled_event_id=scheduled,
            started_event_id=self._begun.get(scheduled, 0),
            identity="",
            activity_type=effort.activity,
            activity_id=effort.address,
            retry_state=None,
        )
        error.__cause__ = cause
        most = effort.most or 2
        self._end(
            event, scheduled, outcome_of_failure(error, frozenset(effort.mark.rejections), attempts=most)
        )

    def _end(self, event: HistoryEvent, scheduled: int, verdict: ActivityOutcome) -> None:
        if effort := self._efforts.get(scheduled):
            effort.ended_at, effort.verdict = event_time(event), verdict

    def _read_child(self, name: str, event: HistoryEvent) -> None:
        match name:
            case "START_CHILD_WORKFLOW_EXECUTION_INITIATED":
                asked = event.start_child_workflow_execution_initiated_event_attributes
                if CHILD_MEMO not in asked.memo.fields:
                    return
                queue = asked.task_queue.name
                child = ChildRecord(
                    address=asked.workflow_id.removeprefix(f"{self.record.id}/"),
                    id=asked.workflow_id,
                    asked_in=asked.workflow_task_completed_event_id,
                    task_queue=None if queue == self.record.task_queue else queue,
                    is_pivot=self._closes.is_pivot(asked.memo),
                    asked_at=event_time(event),
                )
                self._children[event.event_id] = child
                self.record.lines.append(child)
            case "START_CHILD_WORKFLOW_EXECUTION_FAILED":
                refused = event.start_child_workflow_execution_failed_event_attributes
                if known := self._children.get(refused.initiated_event_id):
                    known.was_refused = True
            case "CHILD_WORKFLOW_EXECUTION_STARTED":
                started = event.child_workflow_execution_started_event_attributes
                if known := self._children.get(started.initiated_event_id):
                    known.has_started = True
                    known.run_id = started.workflow_execution.run_id
            case _:
                initiated, close = self._closes.of_child(event)
                if known := self._children.get(initiated):
                    known.close = close

    def _read_update(self, event: HistoryEvent) -> None:
        """A verb counts when its handler has ended well; one that was refused leaves nothing in history."""
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
            asked = event.workflow_execution_update_accepted_event_attributes.accepted_request.input
            if asked.name in VERBS and (request := self._closes.value(asked.args.payloads)) is not None:
                self._asked[event.event_id] = _verb(asked.name, event_time(event), request)
        elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
            completed = event.workflow_execution_update_completed_event_attributes
            verb = self._asked.pop(completed.accepted_event_id, None)
            if verb is not None and completed.outcome.HasField("success"):
                self.record.verbs.append(verb)


def _verb(name: str, at: datetime, request: object) -> VerbRecord:
    said = cast("dict[str, object]", request) if isinstance(request, dict) else {}
    about = said.get("step") or said.get("approval") or ""
    entry = AuditEntry(
        verb=name,
        at=at.isoformat(timespec="seconds"),
        by=str(said.get("by", "")),
        because=str(said.get("because", "")),
        about=str(about),
        is_approved=said.get("is_approved") is True if name == APPROVE else None,
    )
    return VerbRecord(entry=entry, at=at, result=said.get("result"))
