"""The histories of a saga and of its child sagas, and the places in them where an interruption can stand."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHistory

SCHEDULED = EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED
STARTED = EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED
COMPLETED = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
FAILED = EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
ACTIVITY_SCHEDULED = EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
CHILD_INITIATED = EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED
CHILD_STARTED = EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED
CHILD_COMPLETED = EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED
CHILD_CANCEL_REQUESTED = EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED
CONTINUED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW
CANCEL_REQUESTED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED
TERMINATED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED
TIMED_OUT = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT

CLOSED_BY_SERVER = {TERMINATED, TIMED_OUT}
"""The events of a workflow closed by the server, without running the code of the workflow."""

TASK_TIMED_OUT = {
    EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT,
    EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT,
}

UPDATE_EVENTS = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED,
}

CLOSING_EVENTS = {
    EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
    EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED,
    EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT,
    EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED,
    CHILD_COMPLETED,
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED,
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED,
}
"""The events that end an activity or a child workflow."""


class CompletedTask(NamedTuple):
    """A completed workflow task: the ids of the started, the completed and the last event."""

    started: int
    completed: int
    last_event: int


@dataclass(frozen=True, slots=True)
class RunHistory:
    """The history of one run of a saga or of a child saga.

    Args:
        path: The path of the workflow, seen from the root: empty for the root, `leg`, `leg/night`.
        run: The number of the run, where the workflow continues as new: 0 is the first.
        raw: The history, as Temporal returns it.
    """

    path: str
    run: int
    raw: WorkflowHistory

    @property
    def events(self) -> list[HistoryEvent]:
        """The events in their order; the id of an event is its place, counted from 1."""
        return list(self.raw.events)

    @property
    def depth(self) -> int:
        """The number of ancestors of the workflow."""
        return self.path.count("/") + 1 if self.path else 0

    @property
    def cancelled_at(self) -> int | None:
        """The id of the cancel request, if any."""
        return next((e.event_id for e in self.events if e.event_type == CANCEL_REQUESTED), None)


async def fetch_run_histories(client: Client, root_id: str) -> list[RunHistory]:
    """The histories of all runs of a saga and of its child sagas, in the order of their starts."""
    histories = []
    handle = client.get_workflow_handle(root_id)
    first_run_id = (await handle.describe()).raw_description.workflow_execution_info.first_run_id
    to_fetch: list[tuple[str, str, int]] = [(root_id, first_run_id, 0)]
    while to_fetch:
        workflow_id, run_id, run = to_fetch.pop(0)
        raw = await client.get_workflow_handle(workflow_id, run_id=run_id or None).fetch_history()
        histories.append(RunHistory(workflow_id.removeprefix(root_id).removeprefix("/"), run, raw))
        for event in raw.events:
            if event.event_type == CHILD_STARTED:
                child = event.child_workflow_execution_started_event_attributes.workflow_execution
                to_fetch.append((child.workflow_id, child.run_id, 0))
            if event.event_type == CONTINUED:
                next_run = event.workflow_execution_continued_as_new_event_attributes.new_execution_run_id
                to_fetch.append((workflow_id, next_run, run + 1))
    return histories


def completed_task_of(event: HistoryEvent) -> int:
    """The id of the completed workflow task of an event; 0 without a task."""
    attributes = getattr(event, event.WhichOneof("attributes") or "", None)
    return int(getattr(attributes, "workflow_task_completed_event_id", 0))


def scheduled_event_of(event: HistoryEvent) -> int:
    """The id of the scheduled event of the activity or child that ends with this event; else 0."""
    if event.event_type not in CLOSING_EVENTS:
        return 0
    attributes = getattr(event, event.WhichOneof("attributes") or "", None)
    return int(getattr(attributes, "scheduled_event_id", 0) or getattr(attributes, "initiated_event_id", 0))


def completed_tasks(events: list[HistoryEvent]) -> Iterator[CompletedTask]:
    """The completed workflow tasks of a history."""
    for event in events:
        if event.event_type == COMPLETED:
            last = event.event_id
            while last < len(events) and _is_written_by(events[last], event.event_id):
                last += 1
            started = event.workflow_task_completed_event_attributes.started_event_id
            yield CompletedTask(started, event.event_id, last)


def _is_written_by(event: HistoryEvent, completed: int) -> bool:
    """Whether a completed task has written an event; the events of an update do not name the task."""
    return completed_task_of(event) == completed or event.event_type in UPDATE_EVENTS


def insertion_points(events: list[HistoryEvent]) -> frozenset[int]:
    """The ids of the events after which an external event can stand in a closed history.

    The server writes external events while a workflow task waits for a worker, and after all events that a
    completed task has written. While a worker executes a task, external events are kept until after the
    events of that task. The last task is the exception: an external event fails the task, and the worker
    executes the task again.
    """
    ends = {task.started: task.last_event for task in completed_tasks(events)}
    places = {e.event_id for e in events if e.event_type == SCHEDULED}
    places |= {last if last < len(events) else started for started, last in ends.items()}
    return frozenset(places)


def common_length(one: list[HistoryEvent], other: list[HistoryEvent]) -> int:
    """The number of leading events of the same types in two histories."""
    same = 0
    for a, b in zip(one, other, strict=False):
        if a.event_type != b.event_type:
            break
        same += 1
    return same
