"""Rebuilds the ledger of a saga from the history, without workflow code."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import ValidationError

from .._core.activity_outcome import ActivityOutcome
from .._core.compensation import (
    OnStuck,
    PendingCompensation,
    PlanItem,
    confirmations_in_parent,
    flatten,
    plan_in_parent,
    waiting_behind,
)
from .._core.ids import CONFIRM
from .._core.ledger import Ledger
from .._core.lifecycle import Lifecycle, Phase
from .._core.outcome import Outcome
from .._core.purpose import Purpose
from .._declarations.probe_result import ProbeResult
from .._wire.failures import SAGA_FOREIGN_WORK
from .._wire.operator_requests import COMPLETE, SKIP
from .saga_record import (
    LEDGER_PURPOSES,
    ActivityRecord,
    ChildRecord,
    SagaRecord,
    closure_of_child,
    manually_resolved,
)
from .superseded_runs import RunView, is_any_past_pivot, merge_runs, superseded_plan
from .unresolved_children import unresolved_children


class RecoveryDirection(StrEnum):
    """The direction in which an interrupted saga can recover."""

    BACKWARD = "backward"
    """The pivot has not happened: the saga is compensated."""
    FORWARD = "forward"
    """The pivot is done or in doubt: the saga continues, and nothing is compensated."""


@dataclass(frozen=True, slots=True)
class RebuiltSaga:
    """The state of a saga by the history.

    Args:
        ledger: The ledger of the saga, with the entries of superseded runs, and with the effects of rescues.
        lifecycle: The phase of the saga.
        direction: The direction of the recovery.
        superseded: The pending compensations of steps from superseded runs only. The saga does not know these
            steps; only a rescue compensates the steps.
        waiting: The compensations that wait for a failing compensation, each with the failing one.
    """

    ledger: Ledger
    lifecycle: Lifecycle
    direction: RecoveryDirection
    superseded: tuple[PlanItem, ...] = ()
    waiting: Mapping[str, str] = field(default_factory=dict[str, str])

    def plan(self) -> tuple[PlanItem, ...]:
        """The compensations that would have to run now, in their order."""
        return self.ledger.plan(is_past_pivot=self.lifecycle.is_past_pivot)

    def pending(self) -> tuple[PendingCompensation, ...]:
        """Every compensation of the plan, the first to run first."""
        return tuple(flatten(self.plan()))


def rebuild_saga(record: SagaRecord) -> RebuiltSaga:
    """Rebuilds the state of a saga; pending compensations of children count where their records were read."""
    current, runs = _view(record), [_view(run) for run in record.superseded_runs]
    ledger, lifecycle, superseded = merge_runs(current, runs)
    is_past_pivot = is_any_past_pivot(current, runs)
    return RebuiltSaga(
        ledger,
        lifecycle,
        RecoveryDirection.FORWARD if is_past_pivot else RecoveryDirection.BACKWARD,
        superseded_plan(ledger, superseded) if superseded else (),
        _waiting(ledger, record),
    )


def outcome_of_attempts(activities: list[ActivityRecord]) -> ActivityOutcome:
    """The outcome of an action, by all activities and probes in order; the last answer counts.

    A withdrawn activity counts as withdrawn only if no earlier activity of the action can have started.
    """
    result = ActivityOutcome(Outcome.WITHDRAWN)
    may_have_started = False
    for activity in activities:
        if activity.header.purpose is Purpose.PROBE:
            result = _outcome_of_probe(activity) or result
            continue
        result = activity.result
        if result.outcome is Outcome.WITHDRAWN and may_have_started:
            result = ActivityOutcome(Outcome.UNKNOWN, reason=result.reason)
        may_have_started = may_have_started or result.outcome is not Outcome.WITHDRAWN
    return result


def outcome_of_independent(saga: ChildRecord) -> Outcome:
    """Done after completion, started while open, rejected after all compensations, else unknown."""
    closure, record = closure_of_child(saga), saga.record
    if saga.has_start_failed or saga.is_missing:
        return Outcome.WITHDRAWN
    if closure is None:
        return Outcome.STARTED
    if record is None:
        is_compensated = closure.pending is not None
        return (
            Outcome.DONE if closure.is_completed else Outcome.REJECTED if is_compensated else Outcome.UNKNOWN
        )
    if record.has_completed:
        return Outcome.DONE
    rebuilt = rebuild_saga(record)
    is_pending = bool(rebuilt.plan() or rebuilt.ledger.unresolved_children())
    is_backward = rebuilt.direction is RecoveryDirection.BACKWARD
    return Outcome.REJECTED if is_backward and not is_pending else Outcome.UNKNOWN


def _waiting(ledger: Ledger, record: SagaRecord) -> dict[str, str]:
    """The compensations of an open saga or rescue that wait for a failing one or an unknown child."""
    is_open = [each for each in (record, *record.own_rescues) if each.closure is None]
    compensations = [compensation for each in is_open for compensation in each.compensations]
    if ledger.on_stuck is OnStuck.CONTINUE or not compensations:
        return {}
    failing = [each for each in compensations if not (each.is_done or each.is_under_way)]
    addresses = {each.address for each in failing}
    waiting: dict[str, str] = {}
    for unit in dict.fromkeys(each.header.unit for each in failing):
        waiting |= waiting_behind(ledger.plan_of(unit) if unit else ledger.plan(), addresses)
    is_whole = any(not each.header.unit for each in compensations)
    return waiting | (ledger.behind_children(unresolved_children(record)) if is_whole else {})


def _view(record: SagaRecord) -> RunView:
    """Rebuilds the ledger of a run."""
    ledger, lifecycle = _initial_ledger(record)
    pivot = Outcome.DONE if lifecycle.is_past_pivot else None
    superseded = set[str]()
    for child in record.children:
        # A child with unknown outcome stays in the ledger when its parent continues as new.
        if child.address in ledger.unresolved_children():
            superseded |= _end_child(ledger, child)
    resolved = manually_resolved(record)
    compensations = {each.address: each for each in record.compensations}
    for address, item in _group_by_address(record).items():
        if isinstance(item, ChildRecord):
            ledger.start(address, is_child=True, sections=item.sections)
            if item.is_pivot:
                ledger.lost.update(item.lost)
                pivot = _end_pivot_child(ledger, record, item)
            else:
                superseded |= _end_child(ledger, item)
        elif item[0].header.purpose is Purpose.PIVOT:
            ledger.start(address)
            ledger.lost.update(item[0].header.lost)
            result = _manual_outcome(record, address) or outcome_of_attempts(item)
            pivot = result.outcome
            _end(ledger, address, result)
        else:
            _enter_step(ledger, lifecycle, item, is_resolved=address in resolved)
            if (compensation := compensations.get(address)) is not None:
                _keep_arguments(ledger, address, compensation)
        if pivot is Outcome.DONE and lifecycle.phase is Phase.FORWARD:
            lifecycle.start_pivot(address)
            lifecycle.pass_pivot()
    if record.confirmations:
        pivot = Outcome.DONE
        lifecycle.begin_confirmation()
        _apply_confirmations(ledger, record)
    has_compensated = _apply_compensations(ledger, lifecycle, record)
    return RunView(record, ledger, lifecycle, pivot, has_compensated, frozenset(superseded))


def _initial_ledger(record: SagaRecord) -> tuple[Ledger, Lifecycle]:
    """The ledger and the lifecycle at the start of the run."""
    state = record.continued_state
    lifecycle = Lifecycle(starts_past_pivot=state is not None and state.is_past_pivot)
    lifecycle.open()
    if state is not None:
        return state.ledger.restore(), lifecycle
    for activity in record.activities:
        if (header := activity.header).purpose in LEDGER_PURPOSES:
            return Ledger(header.scope, header.order, on_stuck=header.on_stuck), lifecycle
    on_stuck = next((child.parent_on_stuck for child in record.children), OnStuck.CONTINUE)
    return Ledger(on_stuck=on_stuck), lifecycle


def _group_by_address(record: SagaRecord) -> dict[str, ChildRecord | list[ActivityRecord]]:
    """The items of the last run by ledger entry: a child, or the activities and probes of an action."""
    groups: dict[str, ChildRecord | list[ActivityRecord]] = {}
    for item in record.scheduled[record.last_run_index :]:
        if isinstance(item, ChildRecord):
            groups[item.address] = item
        elif item.header.purpose in LEDGER_PURPOSES:
            activities = groups.setdefault(item.address, [])
            # A ledger never gives a step the address of a child.
            assert isinstance(activities, list)
            activities.append(item)
        elif item.header.purpose is Purpose.PROBE and isinstance(probed := groups.get(item.address), list):
            probed.append(item)
    return groups


def _apply_compensations(ledger: Ledger, lifecycle: Lifecycle, record: SagaRecord) -> bool:
    """Marks compensated and manually resolved steps; returns whether the saga has started compensating."""
    has_begun = record.has_begun_compensation
    if has_begun and lifecycle.phase is Phase.FORWARD:
        lifecycle.begin_compensation()
    resolved, unresolved_children = manually_resolved(record), set(ledger.unresolved_children())
    for address in resolved & unresolved_children:
        ledger.fail(address, Outcome.REJECTED)
    done = {compensation.address for compensation in record.compensations if compensation.is_done}
    planned = {each.address for entry in ledger.entries.values() for each in flatten(entry.compensations)}
    for address in done | (resolved & planned):
        ledger.mark_compensated(address)
    for address in record.forgotten.keys() & ledger.entries.keys():
        ledger.forget(address)
    return has_begun


def _apply_confirmations(ledger: Ledger, record: SagaRecord) -> None:
    resolved = manually_resolved(record)
    done = {each.address for each in record.confirmations if each.is_done}
    for each in ledger.confirmations():
        if each.address in done or f"{CONFIRM}{each.address}" in resolved:
            ledger.mark_confirmed(each.address)


def _manual_outcome(record: SagaRecord, address: str) -> ActivityOutcome | None:
    """The outcome of a manually resolved pivot; None without a resolution."""
    for verb in reversed(record.verbs):
        if verb.entry.target == address and verb.entry.verb in (SKIP, COMPLETE):
            is_completed = verb.entry.verb == COMPLETE
            return ActivityOutcome(Outcome.DONE if is_completed else Outcome.REJECTED, verb.result)
    return None


def _outcome_of_probe(probe: ActivityRecord) -> ActivityOutcome | None:
    """The outcome by a probe; None if the participant does not know the outcome either."""
    if not probe.is_done:
        return None
    try:
        return ProbeResult[object].model_validate(probe.result.value).to_outcome()
    except ValidationError:
        return None


def _enter_step(
    ledger: Ledger, lifecycle: Lifecycle, activities: list[ActivityRecord], *, is_resolved: bool
) -> None:
    first = activities[0]
    address, purpose, spec = first.address, first.header.purpose, first.header.compensation
    message = first.arguments[0] if first.arguments else None
    ledger.start(
        address,
        spec.to_pending(address, message) if spec and not lifecycle.is_past_pivot else None,
        is_best_effort=purpose is Purpose.BEST_EFFORT,
        is_read_only=first.header.is_read_only,
        sections=first.header.sections,
    )
    if (confirmation := first.header.confirmation) is not None:
        ledger.add_confirmation(address, confirmation.to_pending(address, message))
    result = outcome_of_attempts(activities)
    if purpose is Purpose.RETRIABLE and is_resolved:
        result = ActivityOutcome(Outcome.DONE)
    _end(ledger, address, result)


def _keep_arguments(ledger: Ledger, address: str, compensation: ActivityRecord) -> None:
    """Keeps the arguments of a scheduled compensation, which do not change.

    The history of the action may have a result nevertheless: a result that the workflow could not read was
    not passed to the compensation.
    """
    outcome, arguments = ledger.entries[address].outcome, compensation.arguments
    ledger.complete(address, arguments[1] if len(arguments) > 1 else None)
    ledger.fail(address, outcome)


def _end(ledger: Ledger, address: str, result: ActivityOutcome) -> None:
    if result.outcome is Outcome.DONE:
        ledger.complete(address, result.value)
    elif result.outcome is not Outcome.STARTED:
        ledger.fail(address, result.outcome)


def _end_child(ledger: Ledger, child: ChildRecord) -> set[str]:
    """Enters the end of a child: as the child reported, or else by the child's own history.

    Returns:
        The addresses of steps from superseded runs of the child only.
    """
    closure = closure_of_child(child)
    if child.has_start_failed or child.is_missing:
        ledger.fail(child.address, Outcome.REJECTED if child.has_start_failed else Outcome.WITHDRAWN)
    elif closure is None:
        return set()
    elif closure.pending is None:
        _end_unreported_child(ledger, child)
    elif not closure.is_completed:
        ledger.fail(child.address, Outcome.REJECTED)
    else:
        ledger.complete_child(
            child.address,
            plan_in_parent(child.address, closure.pending, child.task_queue),
            confirmations_in_parent(child.address, closure.confirmations, child.task_queue),
        )
    if child.record is None or not _was_reset(child.record):
        return set()
    superseded = plan_in_parent(child.address, rebuild_saga(child.record).superseded, child.task_queue)
    if superseded and closure is not None and closure.pending is not None:
        entry = ledger.entries[child.address]
        ledger.complete_child(child.address, (*entry.compensations, *superseded), entry.confirmations)
    return {pending.address for pending in flatten(superseded)}


def _was_reset(record: SagaRecord) -> bool:
    return bool(record.superseded_runs) or any(
        child.record and _was_reset(child.record) for child in record.children
    )


def _end_unreported_child(ledger: Ledger, child: ChildRecord) -> None:
    """Enters the child's pending compensations by its history, without those that its rescues have run.

    A child with activities outside of the saga stays unknown: no history has their compensations.
    """
    record = child.record
    if record is None or record.closure is None or record.closure.error_type == SAGA_FOREIGN_WORK:
        ledger.fail(child.address, Outcome.UNKNOWN)
        return
    plan = rebuild_saga(record).plan()
    ledger.complete_child(child.address, plan_in_parent(child.address, plan, child.task_queue))


def _end_pivot_child(ledger: Ledger, record: SagaRecord, child: ChildRecord) -> Outcome:
    """Enters the end of a child that is the pivot, and returns the outcome of the pivot.

    The history of an open or interrupted child says whether the child has passed the child's own pivot.
    Before, the saga can still be compensated: a cancel compensates the child, and rejects the pivot.
    """
    result = _manual_outcome(record, child.address)
    if result is not None:
        _end(ledger, child.address, result)
        return result.outcome
    _end_child(ledger, child)
    outcome = ledger.entries[child.address].outcome
    closure = closure_of_child(child)
    is_open = closure is None and not child.has_start_failed and not child.is_missing
    is_unreported = closure is not None and closure.pending is None and outcome is Outcome.DONE
    if child.record is not None and (is_open or is_unreported):
        is_forward = rebuild_saga(child.record).direction is RecoveryDirection.FORWARD
        return Outcome.UNKNOWN if is_forward else Outcome.REJECTED
    return outcome
