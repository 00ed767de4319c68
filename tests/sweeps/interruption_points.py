"""The points at which a saga can be interrupted, read from the histories of an undisturbed run."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from temporalio.api.history.v1 import HistoryEvent

from .saga_histories import (
    ACTIVITY_SCHEDULED,
    CHILD_INITIATED,
    STARTED,
    RunHistory,
    completed_task_of,
    completed_tasks,
    scheduled_event_of,
)
from .trips.fenced_participants import Request

SCHEDULING_EVENTS = (ACTIVITY_SCHEDULED, CHILD_INITIATED)


class Timing(StrEnum):
    """The state of the saga at an interruption point."""

    BEFORE_TASK = "before a workflow task"
    """A workflow task waits for a worker: the task delivers the cancel together with the cause."""
    DURING_TASK = "during a workflow task"
    """A worker executes a workflow task: the server keeps the cancel until the task is completed."""
    IDLE = "idle"
    """No task, activity or child is open; the saga waits for an external event."""
    ACTIVITY_QUEUED = "activity queued"
    """No worker has polled the activity."""
    ACTIVITY_STARTED = "activity started"
    """The participant has received the request, and has not acted yet."""
    REPLY_PENDING = "reply pending"
    """The participant has acted, and has not replied yet."""
    WITH_COMPLETION = "with the completion"
    """The activity or child ends before the workflow processes the cancel: a single task delivers both."""
    AFTER_CLOSE = "after the close"


@dataclass(frozen=True, slots=True)
class AdmittedTasks:
    """The number of tasks of a task queue before the gate closes."""

    depth: int
    fresh: int
    sticky: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class InterruptionPoint:
    """A point of an undisturbed run at which the root saga is interrupted.

    Args:
        timing: The state of the saga.
        path: The path of the workflow, seen from the root.
        run: The number of the workflow's run.
        event: The id of the last event of the run.
        scheduled_event: The id of the scheduled event of the open activity or child.
        blocked: The activity to block until the interruption: workflow id, activity id, and the number of the
            schedule of the activity id.
        workflow_tasks: The admitted workflow tasks.
        activity_tasks: The admitted activities.
    """

    timing: Timing
    path: str = ""
    run: int = 0
    event: int = 0
    scheduled_event: int = 0
    blocked: tuple[str, str, int] | None = None
    workflow_tasks: AdmittedTasks | None = None
    activity_tasks: AdmittedTasks | None = None

    def __str__(self) -> str:
        where = f"{self.path or 'root'}[{self.run}]" if self.run else self.path or "root"
        return f"{self.timing} {where}#{self.event}" + (f" {self.blocked[1]}" if self.blocked else "")


def interruption_points(
    histories: Sequence[RunHistory], requests: Sequence[Request], root_id: str
) -> list[InterruptionPoint]:
    """Every interruption point of an undisturbed run, including the points of child sagas."""
    found = [InterruptionPoint(timing=Timing.AFTER_CLOSE)]
    for history in histories:
        found += _of_workflow_tasks(history, histories)
        found += _of_activities(history, requests, root_id, histories)
    return found


def idle_points(histories: Sequence[RunHistory]) -> Iterator[InterruptionPoint]:
    """The points at which the root saga waits for nothing but an external event."""
    for history in histories:
        if history.path:
            continue
        for task in completed_tasks(history.events):
            so_far = history.events[: task.last_event]
            ended = {scheduled_event_of(event) for event in so_far}
            is_busy = any(e.event_type in SCHEDULING_EVENTS and e.event_id not in ended for e in so_far)
            if not is_busy and task.last_event < len(history.events):
                yield InterruptionPoint(timing=Timing.IDLE, run=history.run, event=task.last_event)


def _of_workflow_tasks(history: RunHistory, histories: Sequence[RunHistory]) -> Iterator[InterruptionPoint]:
    for task in completed_tasks(history.events):
        started = history.events[task.started - 1].workflow_task_started_event_attributes
        before = InterruptionPoint(
            timing=Timing.BEFORE_TASK,
            path=history.path,
            run=history.run,
            event=started.scheduled_event_id,
            workflow_tasks=_tasks_before(history, task.started, histories),
        )
        yield before
        yield replace(before, timing=Timing.DURING_TASK, event=task.started, workflow_tasks=None)


def _of_activities(
    history: RunHistory, requests: Sequence[Request], root_id: str, histories: Sequence[RunHistory]
) -> Iterator[InterruptionPoint]:
    workflow_id = f"{root_id}/{history.path}" if history.path else root_id
    earlier = [each for each in histories if each.path == history.path and each.run < history.run]
    schedules = Counter(_activity_id(event) for each in earlier for event in each.events)
    last_events = {task.completed: task.last_event for task in completed_tasks(history.events)}
    for event in history.events:
        last = last_events.get(completed_task_of(event), 0)
        point = InterruptionPoint(
            timing=Timing.WITH_COMPLETION,
            path=history.path,
            run=history.run,
            event=last,
            scheduled_event=event.event_id,
        )
        if event.event_type == ACTIVITY_SCHEDULED and last < len(history.events):
            activity_id = _activity_id(event)
            schedules[activity_id] += 1
            blocked = (workflow_id, activity_id, schedules[activity_id])
            next_task = next(
                (t.started for t in completed_tasks(history.events) if t.started > event.event_id), 0
            )
            yield replace(point, timing=Timing.ACTIVITY_STARTED, blocked=blocked)
            yield replace(point, timing=Timing.REPLY_PENDING, blocked=blocked)
            yield replace(point, blocked=blocked, workflow_tasks=_tasks_before(history, next_task, histories))
            if admitted := _activities_before(blocked, requests):
                yield replace(point, timing=Timing.ACTIVITY_QUEUED, activity_tasks=admitted)
        if event.event_type == CHILD_INITIATED:
            yield from _with_completion_of_child(point, event, history, requests, histories)


def _with_completion_of_child(
    point: InterruptionPoint,
    initiated: HistoryEvent,
    history: RunHistory,
    requests: Sequence[Request],
    histories: Sequence[RunHistory],
) -> Iterator[InterruptionPoint]:
    child_id = initiated.start_child_workflow_execution_initiated_event_attributes.workflow_id
    first_request = next((r for r in requests if r.workflow_id == child_id), None)
    # The task after next: the next task delivers the start of the child.
    tasks = [task for task in completed_tasks(history.events) if task.started > initiated.event_id]
    if first_request and len(tasks) > 1:
        yield replace(
            point,
            blocked=(child_id, first_request.activity_id, 1),
            workflow_tasks=_tasks_before(history, tasks[1].started, histories),
            event=tasks[0].last_event,
        )


def _activities_before(blocked: tuple[str, str, int], requests: Sequence[Request]) -> AdmittedTasks | None:
    """The activities that the workers of a depth have started before the blocked activity."""
    workflow_id, activity_id, nth = blocked
    first_attempts = [
        r for r in requests if (r.workflow_id, r.activity_id, r.attempt) == (workflow_id, activity_id, 1)
    ]
    if len(first_attempts) < nth:
        return None
    depth, began = workflow_id.count("/"), first_attempts[nth - 1].began
    return AdmittedTasks(depth, sum(r.workflow_id.count("/") == depth and r.began < began for r in requests))


def _activity_id(event: HistoryEvent) -> str:
    return event.activity_task_scheduled_event_attributes.activity_id


def _tasks_before(history: RunHistory, started: int, histories: Sequence[RunHistory]) -> AdmittedTasks:
    """The tasks of a task queue before a task: the first task of each run is fresh, the others are sticky."""
    time = history.events[started - 1].event_time.ToNanoseconds()
    fresh = total = 0
    for each in histories:
        if each.depth != history.depth:
            continue
        earlier = [e for e in each.events if e.event_type == STARTED and e.event_time.ToNanoseconds() < time]
        fresh += bool(earlier)
        total += len(earlier)
    return AdmittedTasks(history.depth, fresh, total - fresh)
