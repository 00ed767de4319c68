"""The promises P1 to P9, stated over what a run has left behind, whatever the kernel does to keep them.

The participants' ledger says what happened, the histories say what was asked for and when; nothing here knows
the kernel's own ledger. P9 is stated in `recorded`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from sagas import CompensationOrder
from sagas.operator import SAGA_STATUS
from tests.temporal.fixtures.trip_saga import PIVOTS, STEPS, TELL

from .cancel_points import When
from .cancelled_run import Evidence
from .fenced_participants import COMPENSATE, Effect, Request
from .saga_histories import ACTIVITY_SCHEDULED, CHILD_INITIATED, Line, batches, caused_by, closes
from .saga_shapes import Shape

MADE_UP = {step.call.activity: step.compensation.activity for step in STEPS.values() if step.compensation}
"""The activities that have a compensation, and which."""
PIVOT_ACTIVITIES = {pivot.call.activity for pivot in PIVOTS.values()}
AFTERWARDS = TELL.call.activity
UPSERTED = EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES

MAY_FOLLOW = {
    None: {"compensating", "compensated", "stuck", "completed"},
    "running": {"stuck", "compensating", "compensated", "completed"},
    "compensating": {"stuck", "compensated"},
    "stuck": {"running", "compensating", "compensated"},
    "compensated": set[str](),
    "completed": set[str](),
}
"""Which status may be shown after which; None is what a saga on its happy path shows."""


@dataclass(frozen=True, slots=True)
class UnawaitedCalls:
    """An activity that a saga has asked for."""

    line: Line
    event: HistoryEvent
    key: str

    @property
    def activity_id(self) -> str:
        return self.event.activity_task_scheduled_event_attributes.activity_id

    @property
    def operation(self) -> str:
        return self.event.activity_task_scheduled_event_attributes.activity_type.name

    @property
    def is_compensation(self) -> bool:
        return self.activity_id.startswith(COMPENSATE)

    @property
    def is_forward(self) -> bool:
        return not self.is_compensation and self.operation != AFTERWARDS


def check(evidence: Evidence, undisturbed: Evidence | None = None) -> None:
    """Checks all promises on a run.

    Raises:
        AssertionError: One is broken; says which, of which saga.
    """
    try:
        asked = _asked(evidence)
        _one_end(evidence)
        _cancel_and_pivot(evidence, asked)
        _children_are_told(evidence)
        _all_or_nothing(evidence, undisturbed)
        _at_most_once(evidence)
        _compensations_belong_to_actions(evidence, asked)
        _order(evidence, asked)
        _never_silent(evidence)
    except AssertionError as error:
        error.add_note(f"{evidence.shape.name}, cancelled {evidence.moment}: {evidence.root_id}")
        error.add_note("\n".join(str(request) for request in evidence.participants.requests))
        raise


def _one_end(evidence: Evidence) -> None:
    """P1: what Temporal says of the workflow and what the saga says of itself are one end."""
    ending = evidence.ending
    if ending.closed == "COMPLETED":
        assert ending.saga in (None, "completed"), f"P1: {ending}"
    else:
        assert ending.closed in ("CANCELED", "FAILED"), f"P1: {ending}"
        assert ending.saga == "compensated", f"P1: {ending}"


def _cancel_and_pivot(evidence: Evidence, asked: Sequence[UnawaitedCalls]) -> None:
    """P6: a cancel before the pivot is never completed; one after the pivot or the block changes nothing."""
    shape, ending, root = evidence.shape, evidence.ending, _root(evidence)
    cancelled = next((i for i, (_, e) in enumerate(root) if e.event_type == CANCEL), None)
    pivots = [a for a in asked if a.operation in PIVOT_ACTIVITIES and not a.is_compensation]
    has_passed = any(evidence.participants.effects.get(a.key) is Effect.APPLIED for a in pivots)
    if cancelled is None:
        expected = "FAILED" if shape.code else "COMPLETED"
        assert (ending.closed, ending.code) == (expected, shape.code), f"P6: not cancelled, but {ending}"
        return
    if has_passed:
        assert ending.closed == "COMPLETED", f"P6: the pivot is done, but {ending}"
        first = min(pivots, key=lambda asked: asked.event.event_id)
        heard = first.line.cancelled_at
        assert heard is None or first.event.event_id < heard, "P6: the pivot was begun after the cancel"
        return
    if _left_block_at(shape, root) < cancelled:
        assert ending.closed == "COMPLETED", f"P6: its block was left, but {ending}"
        return
    assert ending.closed != "COMPLETED", "P6: completed after a cancel before the pivot"
    turned = _turned_at(root)
    expected = "CANCELED" if cancelled < turned else "FAILED"
    code = "" if expected == "CANCELED" else shape.code
    assert (ending.closed, ending.code) == (expected, code), f"P6: {expected} was right, not {ending}"
    moment = evidence.moment
    withdrawn = moment and moment.when is When.UNTAKEN and not moment.path and moment.began
    if withdrawn and any(a.event.event_id == withdrawn and not a.line.path for a in pivots):
        requests = [r for r in evidence.participants.requests if r.operation in PIVOT_ACTIVITIES]
        assert not requests, "P6: the pivot was begun after the cancel"


def _children_are_told(evidence: Evidence) -> None:
    """P6: a cancel goes on to every child that is open when its parent hears of it."""
    for line in evidence.lines:
        heard = next((s for s, _, _ in batches(line.events) if 0 < (line.cancelled_at or 0) < s), None)
        if heard is None:
            continue
        so_far = line.events[: heard - 1]
        ended = {closes(event) for event in so_far}
        told = {
            event.request_cancel_external_workflow_execution_initiated_event_attributes.workflow_execution.workflow_id
            for event in line.events[heard:]
        }
        for event in so_far:
            if event.event_type == CHILD_INITIATED and event.event_id not in ended:
                child = event.start_child_workflow_execution_initiated_event_attributes.workflow_id
                assert child in told, f"P6: {child} was open, and was not told of the cancel"


def _all_or_nothing(evidence: Evidence, undisturbed: Evidence | None) -> None:
    """P2: completed: the effects of an undisturbed run; compensated: none that can be made up for."""
    effects = evidence.participants.effects
    is_completed = evidence.ending.closed == "COMPLETED"
    if is_completed:
        assert not any(e.event_type == ACTIVITY_SCHEDULED and _is_compensation(e) for _, e in _all(evidence))
        if undisturbed:
            root, other = evidence.root_id, undisturbed.root_id
            wanted = {k.replace(other, root): e for k, e in undisturbed.participants.effects.items()}
            assert effects == wanted, "P2: completed with other effects"
        return
    operations = {request.key: request.operation for request in evidence.participants.requests}
    left = {
        key
        for key, effect in effects.items()
        if effect is Effect.APPLIED and (operations[key] in MADE_UP or operations[key] in PIVOT_ACTIVITIES)
    }
    assert not left, f"P2: compensated, but {left} are left"


def _at_most_once(evidence: Evidence) -> None:
    """P3: one operation and its compensation per key; nothing is asked for again after its compensation."""
    by_key: dict[str, list[Request]] = {}
    for request in evidence.participants.requests:
        by_key.setdefault(request.key, []).append(request)
    for key, requests in by_key.items():
        actions = {r.operation for r in requests if not r.is_compensation}
        compensations = {r.operation for r in requests if r.is_compensation}
        assert len(actions) <= 1, f"P3: {key} is the key of {actions}"
        allowed = {MADE_UP.get(action) for action in actions}
        assert not actions or compensations <= allowed, f"P3: {key} is the key of {actions | compensations}"
        first = next((i for i, r in enumerate(requests) if r.is_compensation), len(requests))
        assert all(r.is_compensation for r in requests[first:]), f"P3: {key} after its compensation"
        assert all(r.ended >= 0 for r in requests[:first]), f"P3: {key} was never answered"
        if first < len(requests):
            begun = requests[first].began
            assert all(r.ended < begun for r in requests[:first]), f"P5: {key} overtaken by its compensation"
        assert "too late" not in {r.outcome for r in requests}


def _compensations_belong_to_actions(evidence: Evidence, asked: Sequence[UnawaitedCalls]) -> None:
    """P4: what may have started is compensated, what cannot have is not."""
    requests = evidence.participants.requests
    compensated = {r.key for r in requests if r.is_compensation and r.outcome == "done"}
    tried = {r.key for r in requests if r.is_compensation}
    sent = {a.key for a in asked if a.is_forward}
    assert tried <= sent, f"P4: {tried - sent} are compensated and were never begun"
    begun = {r.key for r in requests if not r.is_compensation}
    could_not_begin = {
        a.key
        for a in asked
        if a.is_forward
        and a.event.activity_task_scheduled_event_attributes.retry_policy.maximum_attempts == 1
        and a.key not in begun
    }
    assert not tried & could_not_begin, f"P4: {tried & could_not_begin} cannot have happened"
    refused = {r.key for r in requests if not r.is_compensation and r.outcome == "refused"}
    if evidence.shape.scope == "in-doubt":
        assert not tried & refused, f"P4: {tried & refused} were refused"
    if evidence.ending.saga != "compensated":
        return
    owed = {r.key for r in requests if not r.is_compensation and r.operation in MADE_UP}
    owed -= refused if evidence.shape.scope == "in-doubt" else set()
    assert owed <= compensated, f"P4: {owed - compensated} may have started and are not compensated"


def _order(evidence: Evidence, asked: Sequence[UnawaitedCalls]) -> None:
    """P5: nothing forward after the first compensation; compensations in reverse order of the starts."""
    # Sagas side by side hear of the cancel one after the other, and each goes its own way back.
    sagas = {each.line.path for each in asked} if evidence.shape.legs else {None}
    for saga in sagas:
        _order_of_saga(evidence.shape, [a for a in asked if saga in (None, a.line.path)], asked)
    told = [a for a in asked if a.operation == AFTERWARDS]
    assert len(told) <= 1, "the customer was told twice"
    if told:
        assert evidence.ending.saga == "compensated", f"the customer was told, but {evidence.ending}"
        assert asked[-1].operation == AFTERWARDS, "the customer was told before everything was made up for"
    is_due = evidence.shape.do[0] == "tell" and evidence.ending.saga == "compensated"
    assert not is_due or told or not asked, "the customer was not told"


def _order_of_saga(shape: Shape, own: Sequence[UnawaitedCalls], asked: Sequence[UnawaitedCalls]) -> None:
    """The same of what one saga has asked for; a child that has closed is made up for by its parent."""
    is_back = False
    backs: list[UnawaitedCalls] = []
    for each in own:
        is_back |= each.is_compensation
        assert not (is_back and each.is_forward), f"P5: {each.activity_id} after the first compensation"
        if each.is_compensation and each.key not in [back.key for back in backs]:
            backs.append(each)
    keys = [back.key for back in backs]
    starts = list(dict.fromkeys(each.key for each in asked if each.is_forward))
    assert keys == [key for key in reversed(starts) if key in keys], f"P5: {starts} compensated as {keys}"
    if shape.order is CompensationOrder.PARALLEL:
        assert len({caused_by(back.event) for back in backs}) <= 1, f"P5: {keys} wait for each other"


def _never_silent(evidence: Evidence) -> None:
    """P8: the status goes its way, is stuck where a compensation is broken, and ends as the saga does."""
    shown: list[str | None] = [None]
    for line in evidence.lines:
        if line.path:
            continue
        for event in line.events:
            fields = event.upsert_workflow_search_attributes_event_attributes.search_attributes.indexed_fields
            if event.event_type == UPSERTED and SAGA_STATUS.name in fields:
                status = fields[SAGA_STATUS.name].data.decode().strip('"')
                assert status in MAY_FOLLOW[shown[-1]], f"P8: {status} after {shown}"
                shown.append(status)
    assert shown[-1] == evidence.ending.saga, f"P8: {shown} ended as {evidence.ending}"
    broken = [r for r in evidence.participants.requests if r.is_compensation and r.outcome == "broken"]
    assert not broken or "stuck" in shown, "P8: a compensation did not succeed, and nobody was told"


CANCEL = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED


def _asked(evidence: Evidence) -> list[UnawaitedCalls]:
    """Every activity that was asked for, in the order of the schedules in all histories."""
    found = []
    for line, event in _all(evidence):
        if event.event_type == ACTIVITY_SCHEDULED:
            found.append(UnawaitedCalls(line, event, _key(evidence.root_id, line, event)))
    return sorted(found, key=lambda a: (a.event.event_time.ToNanoseconds(), a.event.event_id))


def _key(root_id: str, line: Line, event: HistoryEvent) -> str:
    """The idempotency key as the README defines it, made here once more."""
    own = f"{root_id}/{line.path}" if line.path else root_id
    address = event.activity_task_scheduled_event_attributes.activity_id.removeprefix(COMPENSATE)
    path, _, step = address.rpartition(":")
    return f"{own}/{path}:{step}" if path else f"{own}:{step}"


def _all(evidence: Evidence) -> list[tuple[Line, HistoryEvent]]:
    return [(line, event) for line in evidence.lines for event in line.events]


def _root(evidence: Evidence) -> list[tuple[Line, HistoryEvent]]:
    return [(line, event) for line, event in _all(evidence) if not line.path]


def _place(root: Sequence[tuple[Line, HistoryEvent]], line: Line, event: HistoryEvent) -> int:
    return next(i for i, (each, e) in enumerate(root) if each is line and e is event)


def _turned_at(root: Sequence[tuple[Line, HistoryEvent]]) -> int:
    """Where the task was started in which the root turned round: the first that says so, or compensates."""
    for line, event in root:
        is_back = event.event_type == ACTIVITY_SCHEDULED and (
            _is_compensation(event)
            or event.activity_task_scheduled_event_attributes.activity_type.name == AFTERWARDS
        )
        says_so = (
            event.event_type == UPSERTED
            and b"compensat" in str(event.upsert_workflow_search_attributes_event_attributes).encode()
        )
        if is_back or says_so:
            completed = line.events[caused_by(event) - 1]
            started = completed.workflow_task_completed_event_attributes.started_event_id
            return _place(root, line, line.history.events[started - 1])
    return len(root)


def _left_block_at(shape: Shape, root: Sequence[tuple[Line, HistoryEvent]]) -> int:
    """Where the task was started in which a saga that waits behind its block has heard of its last step."""
    line, _ = root[0]
    ended = [event.event_id for event in line.events if closes(event)]
    if shape.do[-1] == "then-outside" and len(ended) == len(shape.do) - 1:
        for started, _, _ in batches(line.events):
            if started > ended[-1]:
                return started - 1
    return len(root)


def _is_compensation(event: HistoryEvent) -> bool:
    return event.activity_task_scheduled_event_attributes.activity_id.startswith(COMPENSATE)
