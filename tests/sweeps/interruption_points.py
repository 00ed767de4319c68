"""The moments at which a saga can be cancelled: all that an undisturbed run has gone through."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

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

BEGINS = (ACTIVITY_SCHEDULED, CHILD_INITIATED)


class Timing(StrEnum):
    """What is going on at a moment."""

    BEFORE_TASK = "before a task"
    """A workflow task waits for a worker: cancel and cause of the task are told together."""
    DURING_TASK = "during a task"
    """A workflow task is being carried out: the cancel waits until it is done."""
    RESTING = "resting"
    """Nothing is under way; the saga waits for somebody outside."""
    UNTAKEN = "untaken"
    """No worker has taken the activity."""
    BEGUN = "begun"
    """The participant has been asked, and nothing has happened."""
    ANSWERED = "answered"
    """It has happened, and the answer is under way."""
    TOGETHER = "together"
    """What was under way ends before the workflow hears of the cancel: both are told together."""
    AFTER_END = "after the end"


@dataclass(frozen=True, slots=True)
class AdmittedTasks:
    """How many tasks of a queue are let through before its turnstile closes."""

    depth: int
    fresh: int
    sticky: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class InterruptionPoint:
    """When the root is cancelled.

    Args:
        when: What is going on.
        path: In which workflow of the family.
        run: In which of its runs.
        event: The id of the event that has just been written there, in an undisturbed run.
        began: The id of the event with which began what is under way.
        held: The activity that is held meanwhile: its workflow, its id, and for the how manieth time.
        tasks: Behind how many workflow tasks the turnstile closes.
        activities: Behind how many activities the turnstile closes.
    """

    when: Timing
    path: str = ""
    run: int = 0
    event: int = 0
    began: int = 0
    held: tuple[str, str, int] | None = None
    tasks: AdmittedTasks | None = None
    activities: AdmittedTasks | None = None

    def __str__(self) -> str:
        where = f"{self.path or 'root'}[{self.run}]" if self.run else self.path or "root"
        return f"{self.when} {where}#{self.event}" + (f" {self.held[1]}" if self.held else "")


def interruption_points(
    run_histories: Sequence[RunHistory], requests: Sequence[Request], root_id: str
) -> list[InterruptionPoint]:
    """Every moment of an undisturbed run, of its children as well."""
    found = [InterruptionPoint(when=Timing.AFTER_END)]
    for run_history in run_histories:
        found += _of_tasks(run_history, run_histories)
        found += _of_activities(run_history, requests, root_id, run_histories)
    return found


def resting(run_histories: Sequence[RunHistory]) -> Iterator[InterruptionPoint]:
    """The moments of the root at which it waits for nothing but somebody outside."""
    for run_history in run_histories:
        if run_history.path:
            continue
        for _, _, last in completed_tasks(run_history.events):
            so_far = run_history.events[:last]
            ended = {scheduled_event_of(event) for event in so_far}
            is_busy = any(e.event_type in BEGINS and e.event_id not in ended for e in so_far)
            if not is_busy and last < len(run_history.events):
                yield InterruptionPoint(when=Timing.RESTING, run=run_history.run, event=last)


def _of_tasks(run_history: RunHistory, run_histories: Sequence[RunHistory]) -> Iterator[InterruptionPoint]:
    for started, _, _ in completed_tasks(run_history.events):
        scheduled = run_history.events[started - 1].workflow_task_started_event_attributes.scheduled_event_id
        before = _tasks_before(run_history, started, run_histories)
        yield InterruptionPoint(
            when=Timing.BEFORE_TASK, path=run_history.path, run=run_history.run, event=scheduled, tasks=before
        )
        yield InterruptionPoint(
            when=Timing.DURING_TASK, path=run_history.path, run=run_history.run, event=started
        )


def _of_activities(
    run_history: RunHistory, requests: Sequence[Request], root_id: str, run_histories: Sequence[RunHistory]
) -> Iterator[InterruptionPoint]:
    workflow_id = f"{root_id}/{run_history.path}" if run_history.path else root_id
    earlier = [each for each in run_histories if each.path == run_history.path and each.run < run_history.run]
    times = {
        activity_id: sum(activity_id == _activity_id(e) for each in earlier for e in each.events)
        for activity_id in {_activity_id(e) for e in run_history.events}
    }
    ends = {completed: last for _, completed, last in completed_tasks(run_history.events)}
    for event in run_history.events:
        last = ends.get(completed_task_of(event), 0)
        next_task = next((s for s, _, _ in completed_tasks(run_history.events) if s > event.event_id), 0)
        if event.event_type == ACTIVITY_SCHEDULED and last < len(run_history.events):
            activity_id = _activity_id(event)
            times[activity_id] += 1
            held = (workflow_id, activity_id, times[activity_id])
            yield InterruptionPoint(
                when=Timing.BEGUN,
                held=held,
                path=run_history.path,
                run=run_history.run,
                event=last,
                began=event.event_id,
            )
            yield InterruptionPoint(
                when=Timing.ANSWERED,
                held=held,
                path=run_history.path,
                run=run_history.run,
                event=last,
                began=event.event_id,
            )
            yield InterruptionPoint(
                when=Timing.TOGETHER,
                held=held,
                tasks=_tasks_before(run_history, next_task, run_histories),
                path=run_history.path,
                run=run_history.run,
                event=last,
                began=event.event_id,
            )
            first = [r for r in requests if (r.workflow_id, r.activity_id) == held[:2] and r.attempt == 1]
            if len(first) >= held[2]:
                began = first[held[2] - 1].began
                depth = workflow_id.count("/")
                taken = sum(r.workflow_id.count("/") == depth and r.began < began for r in requests)
                yield InterruptionPoint(
                    when=Timing.UNTAKEN,
                    activities=AdmittedTasks(depth, taken),
                    path=run_history.path,
                    run=run_history.run,
                    event=last,
                    began=event.event_id,
                )
        if event.event_type == CHILD_INITIATED:
            child = event.start_child_workflow_execution_initiated_event_attributes.workflow_id
            inside = next((r for r in requests if r.workflow_id == child), None)
            # The task after next: the next one hears that the child has started.
            tasks = [s for s, _, _ in completed_tasks(run_history.events) if s > event.event_id]
            if inside and len(tasks) > 1:
                has_heard = next(end for s, _, end in completed_tasks(run_history.events) if s == tasks[0])
                yield InterruptionPoint(
                    when=Timing.TOGETHER,
                    held=(child, inside.activity_id, 1),
                    tasks=_tasks_before(run_history, tasks[1], run_histories),
                    path=run_history.path,
                    run=run_history.run,
                    event=has_heard,
                    began=event.event_id,
                )


def _activity_id(event: object) -> str:
    return str(getattr(event, "activity_task_scheduled_event_attributes").activity_id)  # noqa: B009


def _tasks_before(
    run_history: RunHistory, started: int, run_histories: Sequence[RunHistory]
) -> AdmittedTasks:
    """How many tasks its queue sees before one: the first of each run is fresh, the others are sticky."""
    point = run_history.events[started - 1].event_time.ToNanoseconds()
    fresh = total = 0
    for each in run_histories:
        if each.depth != run_history.depth:
            continue
        tasks = [e for e in each.events if e.event_type == STARTED and e.event_time.ToNanoseconds() < point]
        fresh += bool(tasks)
        total += len(tasks)
    return AdmittedTasks(run_history.depth, fresh, total - fresh)
