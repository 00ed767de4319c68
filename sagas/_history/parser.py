"""Parses the events of a workflow history into a `SagaRecord`, without I/O and without workflow code."""

from collections.abc import Iterable
from datetime import datetime
from typing import cast

from pydantic import TypeAdapter, ValidationError
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.converter import DataConverter
from temporalio.exceptions import ActivityError, CancelledError

from .._core.activity_outcome import ActivityOutcome
from .._core.ids import address_of
from .._core.outcome import Outcome
from .._core.status import ENDED, Status
from .._errors import WireFormatError
from .._wire.activity_header import HEADER, read_header
from .._wire.child_saga import CHILD_MEMO, INDEPENDENT_MEMO, ChildMemo
from .._wire.failures import outcome_of_failure
from .._wire.operator_requests import (
    APPROVE,
    COMPENSATE,
    COMPLETE,
    HOLD,
    RESUME,
    RETRY,
    SKIP,
    AuditEntry,
)
from .._wire.rescue import CHUNK_SIGNAL
from .._wire.search_attribute import SAGA_STATUS
from .closure import ClosureReader
from .event_values import PayloadReader, event_time
from .foreign_work import ForeignWorkReader
from .saga_record import (
    ActivityRecord,
    ChildRecord,
    SagaRecord,
    TaskFailureRecord,
    TimedReason,
    TimerRecord,
    VerbRecord,
)

VERBS = frozenset({HOLD, RESUME, RETRY, SKIP, COMPLETE, COMPENSATE, APPROVE})
FORWARDED_VERBS = {HOLD: Status.HELD, RESUME: Status.RUNNING}
"""The verbs that a saga forwards to its children as signals, with the status that a child then publishes."""

_UNHANDLED_FAILURE = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE
HARMLESS_FAILURES = frozenset(
    {
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNSPECIFIED,
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND,
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_UPDATE,
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_STICKY_TASK_QUEUE,
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND,
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FAILOVER_CLOSE_COMMAND,
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_PAUSE_REQUESTED_BEFORE_TASK_STARTED,
    }
)
"""The causes of failed workflow tasks that the server repeats without a change of the code."""


def read_history(saga_id: str, events: Iterable[HistoryEvent], converter: DataConverter) -> SagaRecord:
    """Reads the events of a run, or of successive runs of a continued workflow.

    Args:
        saga_id: The workflow id.
        events: The events from the first on; the history may end after any event.
        converter: Converts payloads and failures; payloads must have passed the payload codec already.

    Raises:
        WireFormatError: Another version of this SDK, with another wire format, ran the saga.
    """
    parser = _Parser(SagaRecord(saga_id), PayloadReader(converter))
    try:
        for event in events:
            parser.read(event)
    except WireFormatError as error:
        raise WireFormatError(f"the history of saga {saga_id!r}", error.found, error.expected) from error
    return parser.record


class _Parser:
    """Reads events in order, and joins the events of an activity, child or update by event ids."""

    def __init__(self, record: SagaRecord, payloads: PayloadReader) -> None:
        self.record = record
        self._payloads = payloads
        self._closures = ClosureReader(payloads)
        self._foreign_work = ForeignWorkReader(record.foreign_work)
        self._activities: dict[int, ActivityRecord] = {}
        self._started_event_ids: dict[int, int] = {}
        self._children: dict[int, ChildRecord] = {}
        self._accepted_verbs: dict[int, VerbRecord] = {}
        self._forwarded_verb: VerbRecord | None = None
        self._unjudged: list[tuple[ActivityRecord, ActivityOutcome]] = []

    def read(self, event: HistoryEvent) -> None:
        """Reads an event; unrelated events have no effect."""
        self._foreign_work.read(event)
        name = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_")
        if name.startswith("ACTIVITY_TASK_"):
            self._read_activity(name.removeprefix("ACTIVITY_TASK_"), event)
        elif "CHILD_WORKFLOW_EXECUTION" in name:
            self._read_child(name, event)
        elif name.startswith("WORKFLOW_EXECUTION_UPDATE_"):
            self._read_update(event)
        elif name.startswith("WORKFLOW_TASK_"):
            self._read_workflow_task(event)
        elif name.startswith("TIMER_"):
            self._read_timer(event)
        else:
            self._read_workflow(event)

    def _read_workflow(self, event: HistoryEvent) -> None:
        record = self.record
        match event.event_type:
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
                self._start(event)
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
                cause = event.workflow_execution_cancel_requested_event_attributes.cause
                record.cancel_requests.append(TimedReason(event_time(event), cause))
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_PAUSED:
                record.is_paused = True
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UNPAUSED:
                record.is_paused = False
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
                self._read_signal(event)
            case (
                EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES
                | EventType.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED
            ):
                self._read_status(event)
                memo = event.workflow_properties_modified_event_attributes.upserted_memo
                self._forget_steps(self._payloads.forgotten_steps(memo), event)
                self._reject_results(self._payloads.rejected_results(memo))
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
                record.continued_as = (
                    event.workflow_execution_continued_as_new_event_attributes.new_execution_run_id
                )
            case _:
                is_child = bool(record.parent)
                record.closure = record.closure or self._closures.read_own(event, is_child=is_child)

    def _read_signal(self, event: HistoryEvent) -> None:
        signal = event.workflow_execution_signaled_event_attributes
        payloads = signal.input.payloads
        if signal.signal_name == CHUNK_SIGNAL and len(payloads) == 1:
            self.record.chunks.append(self._payloads.first_value(payloads))
        elif signal.signal_name in FORWARDED_VERBS:
            request = self._payloads.first_value(payloads)
            self._forwarded_verb = _verb(signal.signal_name, request, event_time(event))

    def _read_status(self, event: HistoryEvent) -> None:
        """Reads a published status, which shows whether a child has executed a forwarded verb."""
        attributes = event.upsert_workflow_search_attributes_event_attributes.search_attributes
        memo = event.workflow_properties_modified_event_attributes.upserted_memo
        if SAGA_STATUS.name in attributes.indexed_fields:
            status = TypeAdapter(str).validate_json(attributes.indexed_fields[SAGA_STATUS.name].data)
        elif SAGA_STATUS.name in memo.fields:
            status = str(self._payloads.first_value([memo.fields[SAGA_STATUS.name]]))
        else:
            return
        self.record.set_status(status, event_time(event))
        if status in ENDED:
            self._foreign_work.end_saga(_task_of(event))
        verb, self._forwarded_verb = self._forwarded_verb, None
        if verb is not None and FORWARDED_VERBS[verb.entry.verb] == status:
            self.record.verbs.append(verb)

    def _reject_results(self, codes: dict[str, str]) -> None:
        """Reads the steps that the workflow has rejected by their results."""
        last = {each.address: each for each in self.record.activities if each.header.is_judged}
        for address, code in codes.items():
            if activity := last.get(address):
                reason = f"the result of {address} means {code!r}"
                activity.result = ActivityOutcome(Outcome.REJECTED, code=code, reason=reason, is_final=True)

    def _forget_steps(self, reasons: dict[str, str], event: HistoryEvent) -> None:
        for address, because in reasons.items():
            self.record.forgotten.setdefault(address, TimedReason(event_time(event), because))

    def _start(self, event: HistoryEvent) -> None:
        """Reads the start of a first or continued run."""
        record, started = self.record, event.workflow_execution_started_event_attributes
        record.type, record.task_queue = started.workflow_type.name, started.task_queue.name
        record.continued_from = record.continued_from or started.continued_execution_run_id
        record.first_run_id = started.first_execution_run_id
        if CHILD_MEMO in started.memo.fields:
            record.parent = started.parent_workflow_execution.workflow_id
            record.root = started.root_workflow_execution.workflow_id or record.parent
        if INDEPENDENT_MEMO in started.memo.fields:
            record.independent_of = self._payloads.independent_memo(started.memo).parent_id
        record.started_at = record.started_at or event_time(event)
        record.input = self._payloads.first_value(started.input.payloads)
        record.continued_as, record.is_paused, record.pending_task_since = "", False, None
        record.timers.clear()
        self._forget_steps(self._payloads.forgotten_steps(started.memo), event)
        if state := self._payloads.continued_state(started.memo):
            record.continued_state, record.last_run_index = state, len(record.scheduled)
        # Event ids begin anew in each run.
        for by_event_id in (self._activities, self._started_event_ids, self._children, self._accepted_verbs):
            by_event_id.clear()

    def _read_workflow_task(self, event: HistoryEvent) -> None:
        record = self.record
        has_ended = event.event_type not in (
            EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED,
            EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED,
        )
        record.has_pending_workflow_task = not has_ended
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED:
            record.pending_task_since = record.pending_task_since or event_time(event)
        elif event.event_type != EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT:
            # A task that no worker has taken times out on the queue of the last worker, and stays pending.
            record.pending_task_since = None
        record.reset_point = event.event_id if has_ended else event.event_id + 1
        failed = event.workflow_task_failed_event_attributes
        if failed.cause == WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW:
            record.resets.append(TimedReason(event_time(event), failed.failure.message))
            record.task_failure = None
        elif failed.cause not in HARMLESS_FAILURES:
            since = record.task_failure.at if record.task_failure else event_time(event)
            reason, *causes = self._payloads.error_texts(failed.failure)
            if failed.cause != _UNHANDLED_FAILURE:
                reason = f"{_name_of(failed.cause)}: {reason}"
            record.task_failure = TaskFailureRecord(since, reason, tuple(causes))
        elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
            record.task_failure = None
            for activity, result in self._unjudged:
                activity.result = result
            self._unjudged.clear()

    def _read_timer(self, event: HistoryEvent) -> None:
        if event.event_type == EventType.EVENT_TYPE_TIMER_STARTED:
            duration = event.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta()
            has_summary = event.user_metadata.HasField("summary")
            summary = self._payloads.first_value([event.user_metadata.summary]) if has_summary else ""
            self.record.timers[event.event_id] = TimerRecord(event_time(event) + duration, str(summary))
            return
        for ended in (event.timer_fired_event_attributes, event.timer_canceled_event_attributes):
            self.record.timers.pop(ended.started_event_id, None)

    def _read_activity(self, name: str, event: HistoryEvent) -> None:
        match name:
            case "SCHEDULED":
                self._schedule(event)
            case "STARTED":
                started = event.activity_task_started_event_attributes
                if activity := self._activities.get(started.scheduled_event_id):
                    activity.attempts = started.attempt
                    self._started_event_ids[started.scheduled_event_id] = event.event_id
            case "COMPLETED":
                completed = event.activity_task_completed_event_attributes
                result = self._payloads.first_value(completed.result.payloads)
                self._complete(event, completed.scheduled_event_id, ActivityOutcome(Outcome.DONE, result))
            case "FAILED":
                failed = event.activity_task_failed_event_attributes
                self._fail(event, failed.scheduled_event_id, failed.failure)
            case "TIMED_OUT":
                timed_out = event.activity_task_timed_out_event_attributes
                self._fail(event, timed_out.scheduled_event_id, timed_out.failure)
            case "CANCELED":
                canceled = event.activity_task_canceled_event_attributes
                self._fail(event, canceled.scheduled_event_id, None)
            case _:
                return

    def _complete(self, event: HistoryEvent, scheduled_event_id: int, result: ActivityOutcome) -> None:
        """Reads a result; where the workflow judges the result, unknown until the next workflow task."""
        activity = self._activities.get(scheduled_event_id)
        if activity is not None and activity.header.is_judged:
            self._unjudged.append((activity, result))
            result = ActivityOutcome(Outcome.UNKNOWN, reason="the workflow has not judged the result")
        self._end(event, scheduled_event_id, result)

    def _schedule(self, event: HistoryEvent) -> None:
        """Reads a scheduled activity; activities without the header of a saga belong to no saga."""
        scheduled = event.activity_task_scheduled_event_attributes
        try:
            header = read_header(scheduled.header.fields[HEADER])
        except ValidationError:
            return
        activity = ActivityRecord(
            address=address_of(scheduled.activity_id),
            activity=scheduled.activity_type.name,
            header=header,
            arguments=tuple(self._payloads.first_value([payload]) for payload in scheduled.input.payloads),
            scheduled_at=event_time(event),
            maximum_attempts=scheduled.retry_policy.maximum_attempts,
            activity_id=scheduled.activity_id,
        )
        self._activities[event.event_id] = activity
        self.record.scheduled.append(activity)

    def _fail(self, event: HistoryEvent, scheduled_event_id: int, failure: Failure | None) -> None:
        """Classifies a failure by the workflow's rules; without a failure, the activity was cancelled."""
        if (activity := self._activities.get(scheduled_event_id)) is None:
            return
        error = ActivityError(
            "",
            scheduled_event_id=scheduled_event_id,
            started_event_id=self._started_event_ids.get(scheduled_event_id, 0),
            identity="",
            activity_type=activity.activity,
            activity_id=activity.address,
            retry_state=None,
        )
        error.__cause__ = CancelledError("Cancelled") if failure is None else self._payloads.error(failure)
        # Without a limit, an earlier attempt may have started: every number above 1 has the same effect.
        attempts = activity.maximum_attempts or 2
        rejections = frozenset(activity.header.rejections)
        self._end(event, scheduled_event_id, outcome_of_failure(error, rejections, attempts=attempts))

    def _end(self, event: HistoryEvent, scheduled_event_id: int, result: ActivityOutcome) -> None:
        if activity := self._activities.get(scheduled_event_id):
            activity.ended_at, activity.result = event_time(event), result

    def _read_child(self, name: str, event: HistoryEvent) -> None:
        match name:
            case "START_CHILD_WORKFLOW_EXECUTION_INITIATED":
                self._initiate_child(event)
            case "START_CHILD_WORKFLOW_EXECUTION_FAILED":
                failed = event.start_child_workflow_execution_failed_event_attributes
                if child := self._children.get(failed.initiated_event_id):
                    child.has_start_failed = True
            case "CHILD_WORKFLOW_EXECUTION_STARTED":
                started = event.child_workflow_execution_started_event_attributes
                if child := self._children.get(started.initiated_event_id):
                    child.has_started = True
                    child.run_id = started.workflow_execution.run_id
            case _:
                if child := self._children.get(_initiated_event_id(event)):
                    child.closure = self._closures.read_child(event, is_independent=child.is_independent)

    def _initiate_child(self, event: HistoryEvent) -> None:
        """Reads the start of a child; children without the memo of a saga belong to no saga."""
        initiated = event.start_child_workflow_execution_initiated_event_attributes
        is_independent = INDEPENDENT_MEMO in initiated.memo.fields
        if CHILD_MEMO not in initiated.memo.fields and not is_independent:
            return
        task_queue = initiated.task_queue.name
        memo = ChildMemo() if is_independent else self._payloads.child_memo(initiated.memo)
        child = ChildRecord(
            address=initiated.workflow_id.removeprefix(f"{self.record.id}/"),
            id=initiated.workflow_id,
            initiated_at=event_time(event),
            workflow_task_completed_event_id=initiated.workflow_task_completed_event_id,
            task_queue=None if task_queue == self.record.task_queue else task_queue,
            is_pivot=memo.is_pivot,
            parent_on_stuck=memo.parent_on_stuck,
            sections=memo.sections,
            is_independent=is_independent,
            lost=memo.lost,
        )
        self._children[event.event_id] = child
        if is_independent:
            self.record.independent_sagas.append(child)
        else:
            self.record.scheduled.append(child)

    def _read_update(self, event: HistoryEvent) -> None:
        """Reads a verb, which counts when its update completes; a rejected update leaves no event."""
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
            accepted = event.workflow_execution_update_accepted_event_attributes.accepted_request.input
            if accepted.name not in VERBS:
                return
            if (request := self._payloads.first_value(accepted.args.payloads)) is not None:
                self._accepted_verbs[event.event_id] = _verb(accepted.name, request, event_time(event))
        elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
            completed = event.workflow_execution_update_completed_event_attributes
            verb = self._accepted_verbs.pop(completed.accepted_event_id, None)
            if verb is not None and completed.outcome.HasField("success"):
                self.record.verbs.append(verb)


def _name_of(cause: WorkflowTaskFailedCause.ValueType) -> str:
    """The name of the cause of a failed workflow task in words: `pending activities limit exceeded`."""
    name = WorkflowTaskFailedCause.Name(cause).removeprefix("WORKFLOW_TASK_FAILED_CAUSE_")
    return name.lower().replace("_", " ")


def _initiated_event_id(event: HistoryEvent) -> int:
    """The id of the event that initiated the child of a later event."""
    initiated_event_id: int = getattr(event, event.WhichOneof("attributes") or "").initiated_event_id
    return initiated_event_id


def _task_of(event: HistoryEvent) -> int:
    """The id of the end of the workflow task that published a status."""
    attributes = getattr(event, event.WhichOneof("attributes") or "")
    task: int = attributes.workflow_task_completed_event_id
    return task


def _verb(name: str, request: object, at: datetime) -> VerbRecord:
    fields = cast("dict[str, object]", request) if isinstance(request, dict) else {}
    return VerbRecord(
        entry=AuditEntry.from_request(name, fields, at), executed_at=at, result=fields.get("result")
    )
