"""The moments at which a saga can be cancelled: all that an undisturbed run has gone through."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from .saga_histories import ACTIVITY_SCHEDULED, CHILD_INITIATED, STARTED, Line, batches, caused_by, closes
from .trips.fenced_participants import Request

BEGINS = (ACTIVITY_SCHEDULED, CHILD_INITIATED)


class When(StrEnum):
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
class Passes:
    """How many tasks of a queue are let through before its turnstile closes."""

    depth: int
    fresh: int
    sticky: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
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

    when: When
    path: str = ""
    run: int = 0
    event: int = 0
    began: int = 0
    held: tuple[str, str, int] | None = None
    tasks: Passes | None = None
    activities: Passes | None = None

    def __str__(self) -> str:
        where = f"{self.path or 'root'}[{self.run}]" if self.run else self.path or "root"
        return f"{self.when} {where}#{self.event}" + (f" {self.held[1]}" if self.held else "")


def moments_of(lines: Sequence[Line], requests: Sequence[Request], root_id: str) -> list[Moment]:
    """Every moment of an undisturbed run, of its children as well."""
    found = [Moment(when=When.AFTER_END)]
    for line in lines:
        found += _of_tasks(line, lines)
        found += _of_activities(line, requests, root_id, lines)
    return found


def resting(lines: Sequence[Line]) -> Iterator[Moment]:
    """The moments of the root at which it waits for nothing but somebody outside."""
    for line in lines:
        if line.path:
            continue
        for _, _, last in batches(line.events):
            so_far = line.events[:last]
            ended = {closes(event) for event in so_far}
            is_busy = any(e.event_type in BEGINS and e.event_id not in ended for e in so_far)
            if not is_busy and last < len(line.events):
                yield Moment(when=When.RESTING, run=line.run, event=last)


def _of_tasks(line: Line, lines: Sequence[Line]) -> Iterator[Moment]:
    for started, _, _ in batches(line.events):
        scheduled = line.events[started - 1].workflow_task_started_event_attributes.scheduled_event_id
        before = _tasks_before(line, started, lines)
        yield Moment(when=When.BEFORE_TASK, path=line.path, run=line.run, event=scheduled, tasks=before)
        yield Moment(when=When.DURING_TASK, path=line.path, run=line.run, event=started)


def _of_activities(
    line: Line, requests: Sequence[Request], root_id: str, lines: Sequence[Line]
) -> Iterator[Moment]:
    workflow_id = f"{root_id}/{line.path}" if line.path else root_id
    earlier = [each for each in lines if each.path == line.path and each.run < line.run]
    times = {
        activity_id: sum(activity_id == _activity_id(e) for each in earlier for e in each.events)
        for activity_id in {_activity_id(e) for e in line.events}
    }
    ends = {completed: last for _, completed, last in batches(line.events)}
    for event in line.events:
        last = ends.get(caused_by(event), 0)
        next_task = next((s for s, _, _ in batches(line.events) if s > event.event_id), 0)
        if event.event_type == ACTIVITY_SCHEDULED and last < len(line.events):
            activity_id = _activity_id(event)
            times[activity_id] += 1
            held = (workflow_id, activity_id, times[activity_id])
            yield Moment(
                when=When.BEGUN, held=held, path=line.path, run=line.run, event=last, began=event.event_id
            )
            yield Moment(
                when=When.ANSWERED, held=held, path=line.path, run=line.run, event=last, began=event.event_id
            )
            yield Moment(
                when=When.TOGETHER,
                held=held,
                tasks=_tasks_before(line, next_task, lines),
                path=line.path,
                run=line.run,
                event=last,
                began=event.event_id,
            )
            first = [r for r in requests if (r.workflow_id, r.activity_id) == held[:2] and r.attempt == 1]
            if len(first) >= held[2]:
                began = first[held[2] - 1].began
                depth = workflow_id.count("/")
                taken = sum(r.workflow_id.count("/") == depth and r.began < began for r in requests)
                yield Moment(
                    when=When.UNTAKEN,
                    activities=Passes(depth, taken),
                    path=line.path,
                    run=line.run,
                    event=last,
                    began=event.event_id,
                )
        if event.event_type == CHILD_INITIATED:
            child = event.start_child_workflow_execution_initiated_event_attributes.workflow_id
            inside = next((r for r in requests if r.workflow_id == child), None)
            # The task after next: the next one hears that the child has started.
            tasks = [s for s, _, _ in batches(line.events) if s > event.event_id]
            if inside and len(tasks) > 1:
                has_heard = next(end for s, _, end in batches(line.events) if s == tasks[0])
                yield Moment(
                    when=When.TOGETHER,
                    held=(child, inside.activity_id, 1),
                    tasks=_tasks_before(line, tasks[1], lines),
                    path=line.path,
                    run=line.run,
                    event=has_heard,
                    began=event.event_id,
                )


def _activity_id(event: object) -> str:
    return str(getattr(event, "activity_task_scheduled_event_attributes").activity_id)  # noqa: B009


def _tasks_before(line: Line, started: int, lines: Sequence[Line]) -> Passes:
    """How many tasks its queue sees before one: the first of each run is fresh, the others are sticky."""
    moment = line.events[started - 1].event_time.ToNanoseconds()
    fresh = total = 0
    for each in lines:
        if each.depth != line.depth:
            continue
        tasks = [e for e in each.events if e.event_type == STARTED and e.event_time.ToNanoseconds() < moment]
        fresh += bool(tasks)
        total += len(tasks)
    return Passes(line.depth, fresh, total - fresh)
