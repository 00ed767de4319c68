"""The histories of a saga and its children, read after the fact, and where they can be interrupted."""

from collections.abc import Iterator
from dataclasses import dataclass

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHistory

SCHEDULED = EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED
STARTED = EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED
COMPLETED = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
OF_UPDATES = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED,
}
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
"""The events with which the server ends a workflow without asking its code."""

TASK_TIMED_OUT = {EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT, EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT}
"""The events with which the server says that nobody has carried out a task in time."""

CLOSING_EVENTS = {
    EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
    EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED,
    EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT,
    EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED,
    CHILD_COMPLETED,
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED,
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED,
}
"""The events that end what a workflow waits for."""


@dataclass(frozen=True, slots=True)
class RunHistory:
    """The history of one run of one workflow of a family.

    Args:
        path: Where it is, seen from the root: empty for the root, `leg`, `leg/night`.
        run: Which run of the workflow, where it continues as new: 0 is the first.
        history: What Temporal keeps of it.
    """

    path: str
    run: int
    history: WorkflowHistory

    @property
    def events(self) -> list[HistoryEvent]:
        """Its events in their order; the id of an event is its place, counted from 1."""
        return list(self.history.events)

    @property
    def depth(self) -> int:
        """How many parents it has."""
        return self.path.count("/") + 1 if self.path else 0

    @property
    def cancelled_at(self) -> int | None:
        """The id of the event that says that a cancel was requested, if there is one."""
        return next((e.event_id for e in self.events if e.event_type == CANCEL_REQUESTED), None)


async def fetch_run_histories(client: Client, root_id: str) -> list[RunHistory]:
    """Every run of a saga and of its children, in the order of their start."""
    run_histories = []
    waiting: list[tuple[str, str, int]] = [(root_id, "", 0)]
    handle = client.get_workflow_handle(root_id)
    waiting = [(root_id, (await handle.describe()).raw_description.workflow_execution_info.first_run_id, 0)]
    while waiting:
        workflow_id, run_id, run = waiting.pop(0)
        history = await client.get_workflow_handle(workflow_id, run_id=run_id or None).fetch_history()
        run_histories.append(RunHistory(workflow_id.removeprefix(root_id).removeprefix("/"), run, history))
        for event in history.events:
            if event.event_type == CHILD_STARTED:
                child = event.child_workflow_execution_started_event_attributes.workflow_execution
                waiting.append((child.workflow_id, child.run_id, 0))
            if event.event_type == CONTINUED:
                next_run = event.workflow_execution_continued_as_new_event_attributes.new_execution_run_id
                waiting.append((workflow_id, next_run, run + 1))
    return run_histories


def completed_task_of(event: HistoryEvent) -> int:
    """The id of the completed workflow task that an event was written with, 0 if there is none."""
    attributes = getattr(event, event.WhichOneof("attributes") or "", None)
    return int(getattr(attributes, "workflow_task_completed_event_id", 0))


def scheduled_event_of(event: HistoryEvent) -> int:
    """The id of the event with which began what this event ends, 0 if it ends nothing."""
    if event.event_type not in CLOSING_EVENTS:
        return 0
    attributes = getattr(event, event.WhichOneof("attributes") or "", None)
    return int(getattr(attributes, "scheduled_event_id", 0) or getattr(attributes, "initiated_event_id", 0))


def completed_tasks(events: list[HistoryEvent]) -> Iterator[tuple[int, int, int]]:
    """The started id, the completed id and the id of the last event of each completed workflow task."""
    for event in events:
        if event.event_type == COMPLETED:
            last = event.event_id
            while last < len(events) and _is_written_by(events[last], event.event_id):
                last += 1
            yield event.workflow_task_completed_event_attributes.started_event_id, event.event_id, last


def _is_written_by(event: HistoryEvent, completed: int) -> bool:
    """Whether a completed task has written an event; what it says of an update does not name the task."""
    return completed_task_of(event) == completed or event.event_type in OF_UPDATES


def insertion_points(events: list[HistoryEvent]) -> frozenset[int]:
    """After which events something from outside can stand in a closed history.

    That is where a workflow task waits for a worker, and after what a completed task has written in one go.
    While a task is carried out, nothing is written: what arrives then stands behind what the task writes. The
    last task is the exception: it fails for that reason, and is carried out once more.
    """
    ends = {started: last for started, _, last in completed_tasks(events)}
    places = {e.event_id for e in events if e.event_type == SCHEDULED}
    places |= {last if last < len(events) else started for started, last in ends.items()}
    return frozenset(places)


def common_prefix(one: list[HistoryEvent], other: list[HistoryEvent]) -> int:
    """How many events two histories have in common, kind by kind."""
    same = 0
    for a, b in zip(one, other, strict=False):
        if a.event_type != b.event_type:
            break
        same += 1
    return same
