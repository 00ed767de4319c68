"""The promises P1 to P8, checked on the evidence of a run and independent of the implementation.

The participants know the effects, and the histories know the scheduled activities and their order; the ledger
of the SDK is not read. The strict replay checks P9.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from sagas import CompensationOrder, OnStuck
from sagas.operator import SAGA_STATUS
from tests.temporal.fixtures.trip_saga import NOTIFY, PIVOTS, STEPS

from ..interruption_points import Timing
from ..saga_histories import (
    ACTIVITY_SCHEDULED,
    CHILD_INITIATED,
    RunHistory,
    completed_task_of,
    completed_tasks,
    scheduled_event_of,
)
from .cancelled_run import Evidence
from .fenced_participants import COMPENSATION_PREFIX, Effect, Request
from .saga_shapes import SagaShape

COMPENSATION_OF = {
    step.call.activity: step.compensation.activity for step in STEPS.values() if step.compensation
}
"""The compensation of each action."""
PIVOT_ACTIVITIES = {pivot.call.activity for pivot in PIVOTS.values()}
NOTIFICATION = NOTIFY.call.activity
UPSERTED = EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES
ACTIVITY_FAILED = EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED
WORKFLOW_FAILED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED

MAY_FOLLOW = {
    None: {"compensating", "compensated", "stuck", "completed"},
    "running": {"stuck", "compensating", "compensated", "completed"},
    "compensating": {"stuck", "compensated"},
    "stuck": {"running", "compensating", "compensated"},
    "compensated": set[str](),
    "completed": set[str](),
}
"""The possible next statuses of each published status; None: a saga on the happy path publishes no status."""


@dataclass(frozen=True, slots=True)
class ScheduledActivity:
    """A scheduled activity of a saga."""

    history: RunHistory
    event: HistoryEvent
    key: str

    @property
    def activity_id(self) -> str:
        return self.event.activity_task_scheduled_event_attributes.activity_id

    @property
    def address(self) -> str:
        return self.activity_id.removeprefix(COMPENSATION_PREFIX)

    @property
    def operation(self) -> str:
        return self.event.activity_task_scheduled_event_attributes.activity_type.name

    @property
    def is_compensation(self) -> bool:
        return self.activity_id.startswith(COMPENSATION_PREFIX)

    @property
    def is_forward(self) -> bool:
        return not self.is_compensation and self.operation != NOTIFICATION


def check(evidence: Evidence, undisturbed: Evidence | None = None) -> None:
    """Checks all promises on a run.

    Raises:
        AssertionError: A promise is broken; the message names the promise and the saga.
    """
    try:
        scheduled = _scheduled_activities(evidence)
        _one_end(evidence)
        _cancel_and_pivot(evidence, scheduled)
        _children_are_cancelled(evidence)
        _all_or_nothing(evidence, undisturbed)
        _at_most_once(evidence)
        _compensations_belong_to_actions(evidence, scheduled)
        _order(evidence, scheduled)
        _never_silent(evidence)
    except AssertionError as error:
        error.add_note(f"{evidence.shape.name}, cancelled {evidence.point}: {evidence.root_id}")
        error.add_note("\n".join(str(request) for request in evidence.participants.requests))
        raise


def _one_end(evidence: Evidence) -> None:
    """P1: the status of the workflow and the status of the saga are the same ending."""
    ending = evidence.ending
    if ending.closed == "COMPLETED":
        assert ending.saga in (None, "completed"), f"P1: {ending}"
    else:
        assert ending.closed in ("CANCELED", "FAILED"), f"P1: {ending}"
        assert ending.saga == "compensated", f"P1: {ending}"


def _cancel_and_pivot(evidence: Evidence, scheduled: Sequence[ScheduledActivity]) -> None:
    """P6: a saga cancelled before the pivot never completes; a cancel after the pivot changes nothing."""
    shape, ending, root = evidence.shape, evidence.ending, _root(evidence)
    cancelled = next((i for i, (_, e) in enumerate(root) if e.event_type == CANCEL), None)
    pivots = [a for a in scheduled if a.operation in PIVOT_ACTIVITIES and not a.is_compensation]
    has_passed = any(evidence.participants.effects.get(a.key) is Effect.APPLIED for a in pivots)
    if cancelled is None:
        expected = "FAILED" if shape.code else "COMPLETED"
        assert (ending.closed, ending.code) == (expected, shape.code), f"P6: not cancelled, but {ending}"
        return
    if has_passed:
        assert ending.closed == "COMPLETED", f"P6: the pivot is done, but {ending}"
        first = min(pivots, key=lambda pivot: pivot.event.event_id)
        cancelled_at = first.history.cancelled_at
        assert cancelled_at is None or first.event.event_id < cancelled_at, (
            "P6: the pivot started after the cancel"
        )
        return
    if _left_block_at(shape, root) < cancelled:
        assert ending.closed == "COMPLETED", f"P6: the block was left, but {ending}"
        return
    assert ending.closed != "COMPLETED", "P6: completed after a cancel before the pivot"
    first_cause = min(_compensation_started_at(shape, root), _own_failure_at(evidence, root))
    expected = "CANCELED" if cancelled < first_cause else "FAILED"
    code = "" if expected == "CANCELED" else shape.code
    assert (ending.closed, ending.code) == (expected, code), f"P6: {expected} was right, not {ending}"
    point = evidence.point
    withdrawn = point and point.timing is Timing.ACTIVITY_QUEUED and not point.path and point.scheduled_event
    if withdrawn and any(a.event.event_id == withdrawn and not a.history.path for a in pivots):
        requests = [r for r in evidence.participants.requests if r.operation in PIVOT_ACTIVITIES]
        assert not requests, "P6: the pivot started after the cancel"


def _children_are_cancelled(evidence: Evidence) -> None:
    """P6: a parent sends a processed cancel to every open child."""
    for history in evidence.histories:
        task_started = next(
            (s for s, _, _ in completed_tasks(history.events) if 0 < (history.cancelled_at or 0) < s),
            None,
        )
        if task_started is None:
            continue
        so_far = history.events[: task_started - 1]
        ended = {scheduled_event_of(event) for event in so_far}
        cancelled_children = {
            event.request_cancel_external_workflow_execution_initiated_event_attributes.workflow_execution.workflow_id
            for event in history.events[task_started:]
        }
        for event in so_far:
            if event.event_type == CHILD_INITIATED and event.event_id not in ended:
                child = event.start_child_workflow_execution_initiated_event_attributes.workflow_id
                assert child in cancelled_children, (
                    f"P6: {child} was open, and the parent did not cancel the child"
                )


def _all_or_nothing(evidence: Evidence, undisturbed: Evidence | None) -> None:
    """P2: completed means the effects of an undisturbed run; compensated means no compensatable effect."""
    effects = evidence.participants.effects
    is_completed = evidence.ending.closed == "COMPLETED"
    if is_completed:
        assert evidence.shape.sections or not any(
            e.event_type == ACTIVITY_SCHEDULED and _is_compensation(e) for _, e in _all(evidence)
        )
        if undisturbed:
            root, other = evidence.root_id, undisturbed.root_id
            wanted = {k.replace(other, root): e for k, e in undisturbed.participants.effects.items()}
            assert effects == wanted, "P2: completed with other effects"
        return
    operations = {request.key: request.operation for request in evidence.participants.requests}
    left = {
        key
        for key, effect in effects.items()
        if effect is Effect.APPLIED
        and (operations[key] in COMPENSATION_OF or operations[key] in PIVOT_ACTIVITIES)
    }
    assert not left, f"P2: compensated, but {left} are left"


def _at_most_once(evidence: Evidence) -> None:
    """P3: one action and one compensation per key; no action after the compensation of its key."""
    by_key: dict[str, list[Request]] = {}
    for request in evidence.participants.requests:
        by_key.setdefault(request.key, []).append(request)
    for key, requests in by_key.items():
        actions = {r.operation for r in requests if not r.is_compensation}
        compensations = {r.operation for r in requests if r.is_compensation}
        assert len(actions) <= 1, f"P3: {key} is the key of {actions}"
        allowed = {COMPENSATION_OF.get(action) for action in actions}
        assert not actions or compensations <= allowed, f"P3: {key} is the key of {actions | compensations}"
        first = next((i for i, r in enumerate(requests) if r.is_compensation), len(requests))
        assert all(r.is_compensation for r in requests[first:]), f"P3: {key} after its compensation"
        assert all(r.ended >= 0 for r in requests[:first]), f"P3: {key} never had a reply"
        if first < len(requests):
            began = requests[first].began
            assert all(r.ended < began for r in requests[:first]), f"P5: {key} overtaken by its compensation"
        assert "too late" not in {r.outcome for r in requests}


def _compensations_belong_to_actions(evidence: Evidence, scheduled: Sequence[ScheduledActivity]) -> None:
    """P4: an action that may have started is compensated; an action that cannot have started is not."""
    requests = evidence.participants.requests
    compensated = {r.key for r in requests if r.is_compensation and r.outcome == "done"}
    tried = {r.key for r in requests if r.is_compensation}
    sent = {a.key for a in scheduled if a.is_forward}
    assert tried <= sent, f"P4: {tried - sent} are compensated and were never started"
    started = {r.key for r in requests if not r.is_compensation}
    could_not_begin = {
        a.key
        for a in scheduled
        if a.is_forward
        and a.event.activity_task_scheduled_event_attributes.retry_policy.maximum_attempts == 1
        and a.key not in started
    }
    assert not tried & could_not_begin, f"P4: {tried & could_not_begin} cannot have happened"
    rejected = {r.key for r in requests if not r.is_compensation and r.outcome == "rejected"}
    if evidence.shape.scope == "in-doubt":
        assert not tried & rejected, f"P4: {tried & rejected} were rejected"
    if evidence.ending.saga != "compensated":
        return
    pending = {r.key for r in requests if not r.is_compensation and r.operation in COMPENSATION_OF}
    pending -= rejected if evidence.shape.scope == "in-doubt" else set()
    assert pending <= compensated, f"P4: {pending - compensated} may have started and are not compensated"


def _order(evidence: Evidence, scheduled: Sequence[ScheduledActivity]) -> None:
    """P5: no action after the first compensation; compensations in the reverse order of the starts."""
    # Concurrent child sagas process the cancel one after the other, and each compensates by itself.
    sagas = {each.history.path for each in scheduled} if evidence.shape.legs else {None}
    for saga in sagas:
        _order_of_saga(evidence.shape, [a for a in scheduled if saga in (None, a.history.path)], scheduled)
    if evidence.shape.on_stuck is OnStuck.WAIT:
        _no_overtaking(evidence.participants.requests)
    notifications = [a for a in scheduled if a.operation == NOTIFICATION]
    assert len(notifications) <= 1, "the customer was notified twice"
    if notifications:
        assert evidence.ending.saga == "compensated", f"the customer was notified, but {evidence.ending}"
        assert scheduled[-1].operation == NOTIFICATION, (
            "the customer was notified before the last compensation"
        )
    is_due = evidence.shape.do[0] == "tell" and evidence.ending.saga == "compensated"
    assert not is_due or notifications or not scheduled, "the customer was not notified"


def _order_of_saga(
    shape: SagaShape, own: Sequence[ScheduledActivity], scheduled: Sequence[ScheduledActivity]
) -> None:
    """P5 for the activities of a saga; the parent compensates a closed child."""
    if shape.sections:
        _order_of_sections(shape, own)
        return
    is_compensating = False
    compensations: list[ScheduledActivity] = []
    for each in own:
        is_compensating |= each.is_compensation
        assert not (is_compensating and each.is_forward), (
            f"P5: {each.activity_id} after the first compensation"
        )
        if each.is_compensation and each.key not in [one.key for one in compensations]:
            compensations.append(each)
    keys = [one.key for one in compensations]
    starts = list(dict.fromkeys(each.key for each in scheduled if each.is_forward))
    assert keys == [key for key in reversed(starts) if key in keys], f"P5: {starts} compensated as {keys}"
    if shape.order is CompensationOrder.PARALLEL:
        assert len({completed_task_of(one.event) for one in compensations}) <= 1, (
            f"P5: {keys} wait for each other"
        )


def _no_overtaking(requests: Sequence[Request]) -> None:
    """P5 with `OnStuck.WAIT`: an older compensation starts after the end of every newer compensation."""
    tried = [each.key for each in requests if each.is_compensation]
    in_turn = [key for key in dict.fromkeys(tried) for _ in range(tried.count(key))]
    assert tried == in_turn, f"P5: {tried} overtake a failing compensation"


def _order_of_sections(shape: SagaShape, own: Sequence[ScheduledActivity]) -> None:
    """P5 inside of each section: no step after the first compensation, and the reverse order of the starts.

    A compensation of a section lets the saga go on with other steps; any other compensation does not.
    """
    starts = [each.address for each in own if each.is_forward]
    for place, each in enumerate(own):
        if not each.is_compensation:
            continue
        section = shape.sections.get(each.address)
        for later in own[place + 1 :]:
            is_same = shape.sections.get(later.address) == section
            assert not (later.is_forward and (section is None or is_same)), (
                f"P5: {later.activity_id} after {each.activity_id}"
            )
            assert not (later.is_compensation and is_same) or starts.index(later.address) <= starts.index(
                each.address
            ), f"P5: {each.activity_id} before {later.activity_id}"


def _never_silent(evidence: Evidence) -> None:
    """P8: a saga with a failing compensation is published as stuck; the last status is the ending."""
    shown: list[str | None] = [None]
    for history in evidence.histories:
        if history.path:
            continue
        for event in history.events:
            fields = event.upsert_workflow_search_attributes_event_attributes.search_attributes.indexed_fields
            if event.event_type == UPSERTED and SAGA_STATUS.name in fields:
                status = fields[SAGA_STATUS.name].data.decode().strip('"')
                assert status in MAY_FOLLOW[shown[-1]], f"P8: {status} after {shown}"
                shown.append(status)
    assert shown[-1] == evidence.ending.saga, f"P8: {shown} ended as {evidence.ending}"
    failed = [r for r in evidence.participants.requests if r.is_compensation and r.outcome == "failed"]
    assert not failed or "stuck" in shown, (
        "P8: a compensation has failed, and the saga was not published as stuck"
    )


CANCEL = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED


def _scheduled_activities(evidence: Evidence) -> list[ScheduledActivity]:
    """All scheduled activities, in the order of their schedules in all histories."""
    found = []
    for history, event in _all(evidence):
        if event.event_type == ACTIVITY_SCHEDULED:
            found.append(ScheduledActivity(history, event, _key(evidence.root_id, history, event)))
    return sorted(found, key=lambda a: (a.event.event_time.ToNanoseconds(), a.event.event_id))


def _key(root_id: str, history: RunHistory, event: HistoryEvent) -> str:
    """The idempotency key as the README defines the key, derived here a second time."""
    own = f"{root_id}/{history.path}" if history.path else root_id
    address = event.activity_task_scheduled_event_attributes.activity_id.removeprefix(COMPENSATION_PREFIX)
    path, _, step = address.rpartition(":")
    return f"{own}/{path}:{step}" if path else f"{own}:{step}"


def _all(evidence: Evidence) -> list[tuple[RunHistory, HistoryEvent]]:
    return [(history, event) for history in evidence.histories for event in history.events]


def _root(evidence: Evidence) -> list[tuple[RunHistory, HistoryEvent]]:
    return [(history, event) for history, event in _all(evidence) if not history.path]


def _place(root: Sequence[tuple[RunHistory, HistoryEvent]], history: RunHistory, event: HistoryEvent) -> int:
    return next(i for i, (each, e) in enumerate(root) if each is history and e is event)


def _compensation_started_at(shape: SagaShape, root: Sequence[tuple[RunHistory, HistoryEvent]]) -> int:
    """The place of the start of the task that starts compensating: publishes the status, or compensates.

    A saga with sections also compensates while going forward.
    """
    for history, event in root:
        is_compensation = event.event_type == ACTIVITY_SCHEDULED and (
            (_is_compensation(event) and not shape.sections)
            or event.activity_task_scheduled_event_attributes.activity_type.name == NOTIFICATION
        )
        publishes_status = (
            event.event_type == UPSERTED
            and b"compensat" in str(event.upsert_workflow_search_attributes_event_attributes).encode()
        )
        if is_compensation or publishes_status:
            completed = history.events[completed_task_of(event) - 1]
            started = completed.workflow_task_completed_event_attributes.started_event_id
            return _place(root, history, history.raw.events[started - 1])
    return len(root)


def _own_failure_at(evidence: Evidence, root: Sequence[tuple[RunHistory, HistoryEvent]]) -> int:
    """The place of the start of the task that processes the failure of a branch; 0 for a failed child.

    The saga waits for the other branches and for the compensations of the child, and then compensates.
    """
    shape = evidence.shape
    if not shape.code:
        return len(root)
    if any(
        history.path and history.events[-1].event_type == WORKFLOW_FAILED for history in evidence.histories
    ):
        return 0
    if any(isinstance(word, str) and ("|" in word or "/" in word) for word in shape.do):
        for history, event in root:
            if event.event_type == ACTIVITY_FAILED:
                started = (s for s, _, _ in completed_tasks(history.events) if s > event.event_id)
                return next((_place(root, history, history.raw.events[s - 1]) for s in started), len(root))
    return len(root)


def _left_block_at(shape: SagaShape, root: Sequence[tuple[RunHistory, HistoryEvent]]) -> int:
    """The place of the start of the task that leaves the block, for a saga that waits after the block."""
    history, _ = root[0]
    ended = [event.event_id for event in history.events if scheduled_event_of(event)]
    if shape.do[-1] == "wait-after-block" and len(ended) == len(shape.do) - 1:
        for started, _, _ in completed_tasks(history.events):
            if started > ended[-1]:
                return started - 1
    return len(root)


def _is_compensation(event: HistoryEvent) -> bool:
    return event.activity_task_scheduled_event_attributes.activity_id.startswith(COMPENSATION_PREFIX)
