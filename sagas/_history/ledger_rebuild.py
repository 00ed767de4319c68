"""The ledger of a saga, rebuilt from its history: what it owes, also where its code can no longer say."""

from dataclasses import dataclass
from enum import StrEnum

from pydantic import ValidationError

from .._core.activity_outcome import ActivityOutcome
from .._core.compensation import PendingCompensation, PlanItem, flatten, plan_in_parent
from .._core.ledger import Ledger
from .._core.lifecycle import Lifecycle, Phase
from .._core.outcome import Outcome
from .._core.purpose import Purpose
from .._declarations.probe_result import ProbeResult
from .._wire.failures import SAGA_UNACCOUNTED
from .._wire.operator_requests import COMPLETE, SKIP
from .resets import RunView, is_past_pivot, left_by_resets, merge_runs
from .saga_record import COUNTED, ActivityRecord, ChildRecord, SagaRecord, by_hand, closure_of_child


class RecoveryDirection(StrEnum):
    """Where a saga that was cut off can still go."""

    BACK = "back"
    """The pivot has not happened, and will not: what was done is made up for."""
    FORWARD = "forward"
    """The pivot is done, or may be: nothing crosses it backwards."""


@dataclass(frozen=True, slots=True)
class RebuiltSaga:
    """What history says that a saga stands for.

    Args:
        ledger: As the saga itself would have it, with what only runs have done that a reset has left behind,
            and with what its rescues have made up for.
        way: Where it can go from here.
        left: What only those runs have done: the saga does not know of it, so only a rescue makes up for it.
    """

    ledger: Ledger
    lifecycle: Lifecycle
    way: RecoveryDirection
    left: tuple[PlanItem, ...] = ()

    def plan(self) -> tuple[PlanItem, ...]:
        """The compensations that would have to run now, in their order."""
        return self.ledger.plan(is_past_pivot=self.lifecycle.is_past_pivot)

    def pending(self) -> tuple[PendingCompensation, ...]:
        """Every compensation of the plan, the first to run first."""
        return tuple(flatten(self.plan()))


def rebuild_saga(record: SagaRecord) -> RebuiltSaga:
    """Rebuilds the ledger of a saga, with what its children owe as far as their histories were read."""
    now, bases = _told(record), [_told(base) for base in record.bases]
    ledger, lifecycle, left = merge_runs(now, bases)
    way = RecoveryDirection.FORWARD if is_past_pivot(now, bases) else RecoveryDirection.BACK
    return RebuiltSaga(ledger, lifecycle, way, left_by_resets(ledger, left) if left else ())


def outcome_of_attempts(efforts: list[ActivityRecord]) -> ActivityOutcome:
    """How an action ended that was scheduled and asked about so often; the last word counts.

    One that was withdrawn is only withdrawn if nothing before it can have begun.
    """
    verdict = ActivityOutcome(Outcome.WITHDRAWN)
    may_have_begun = False
    for effort in efforts:
        if effort.mark.purpose is Purpose.PROBE:
            verdict = _finding(effort) or verdict
            continue
        verdict = effort.verdict
        if verdict.outcome is Outcome.WITHDRAWN and may_have_begun:
            verdict = ActivityOutcome(Outcome.UNKNOWN, reason=verdict.reason)
        may_have_begun = may_have_begun or verdict.outcome is not Outcome.WITHDRAWN
    return verdict


def _told(record: SagaRecord) -> RunView:
    """What the history of one run says."""
    ledger, lifecycle = _as_it_began(record)
    pivot = Outcome.DONE if lifecycle.is_past_pivot else None
    left = set[str]()
    for child in record.children:
        # One that ended without a word before its saga continued as new.
        if child.address in ledger.unresolved_children():
            left |= _end_child(ledger, child)
    for address, efforts in _by_address(record).items():
        if isinstance(efforts, ChildRecord):
            ledger.start(address, is_child=True)
            if efforts.is_pivot:
                pivot = _end_pivot_child(ledger, record, efforts)
            else:
                left |= _end_child(ledger, efforts)
        elif efforts[0].mark.purpose is Purpose.PIVOT:
            ledger.start(address)
            verdict = _by_hand_verdict(record, address) or outcome_of_attempts(efforts)
            pivot = verdict.outcome
            _end(ledger, address, verdict)
        else:
            _enter_step(ledger, lifecycle, record, efforts)
        if pivot is Outcome.DONE and lifecycle.phase is Phase.FORWARD:
            lifecycle.start_pivot(address)
            lifecycle.pass_pivot()
    has_turned = _make_up(ledger, lifecycle, record)
    return RunView(record, ledger, lifecycle, pivot, has_turned, frozenset(left))


def _as_it_began(record: SagaRecord) -> tuple[Ledger, Lifecycle]:
    """The ledger and the lifecycle at the start of the run."""
    lifecycle = Lifecycle(starts_past_pivot=record.carried is not None and record.carried.is_past_pivot)
    lifecycle.open()
    if record.carried is not None:
        return record.carried.ledger.restore(), lifecycle
    for effort in record.efforts:
        if effort.mark.purpose in COUNTED:
            return Ledger(effort.mark.scope, effort.mark.order), lifecycle
    return Ledger(), lifecycle


def _by_address(record: SagaRecord) -> dict[str, ChildRecord | list[ActivityRecord]]:
    """The lines of the ledger, each with everything that was done for it; a probe belongs to its action."""
    lines: dict[str, ChildRecord | list[ActivityRecord]] = {}
    for line in record.lines[record.first :]:
        if isinstance(line, ChildRecord):
            lines[line.address] = line
        elif line.mark.purpose in COUNTED:
            efforts = lines.setdefault(line.address, [])
            # A name is a step's or a child's: a ledger has one address for each.
            assert isinstance(efforts, list)
            efforts.append(line)
        elif line.mark.purpose is Purpose.PROBE and isinstance(asked := lines.get(line.address), list):
            asked.append(line)
    return lines


def _make_up(ledger: Ledger, lifecycle: Lifecycle, record: SagaRecord) -> bool:
    """Notes what is made up for already; returns whether the saga has turned round."""
    efforts = [effort for effort in record.efforts if effort.mark.purpose is Purpose.COMPENSATION]
    if efforts and lifecycle.phase is Phase.FORWARD:
        lifecycle.begin_compensation()
    for effort in efforts:
        if effort.verdict.outcome is Outcome.DONE:
            ledger.mark_compensated(effort.address)
    settled = by_hand(record)
    lost = set(ledger.unresolved_children())
    for address in settled & lost:
        ledger.fail(address, Outcome.REJECTED)
    if efforts:
        for address in settled - lost:
            ledger.mark_compensated(address)
    return bool(efforts)


def _by_hand_verdict(record: SagaRecord, address: str) -> ActivityOutcome | None:
    """What a person has said became of the pivot: that it was skipped, or done by hand."""
    for verb in reversed(record.verbs):
        if verb.entry.about == address and verb.entry.verb in (SKIP, COMPLETE):
            is_done = verb.entry.verb == COMPLETE
            return ActivityOutcome(Outcome.DONE if is_done else Outcome.REJECTED, verb.result)
    return None


def _finding(probe: ActivityRecord) -> ActivityOutcome | None:
    """What a participant has answered when it was asked; None where it did not know either."""
    if probe.verdict.outcome is not Outcome.DONE:
        return None
    try:
        return ProbeResult[object].model_validate(probe.verdict.value).verdict()
    except ValidationError:
        return None


def _enter_step(
    ledger: Ledger, lifecycle: Lifecycle, record: SagaRecord, efforts: list[ActivityRecord]
) -> None:
    first = efforts[0]
    is_best_effort = first.mark.purpose is Purpose.BEST_EFFORT
    compensation = None if lifecycle.is_past_pivot else _compensation(first)
    ledger.start(first.address, compensation, is_best_effort=is_best_effort)
    verdict = outcome_of_attempts(efforts)
    if first.mark.purpose is Purpose.RETRIABLE and first.address in by_hand(record):
        verdict = ActivityOutcome(Outcome.DONE)
    _end(ledger, first.address, verdict)
    for sent in record.efforts:
        # What was sent once is sent again: an answer that the saga could not read was not passed on either.
        if sent.mark.purpose is Purpose.COMPENSATION and sent.address == first.address:
            ledger.complete(first.address, sent.arguments[1] if len(sent.arguments) > 1 else None)
            ledger.fail(first.address, verdict.outcome)


def _compensation(effort: ActivityRecord) -> PendingCompensation | None:
    owes = effort.mark.owes
    if owes is None:
        return None
    message = effort.arguments[0] if effort.arguments else None
    return PendingCompensation(
        address=effort.address,
        activity=owes.activity,
        arguments=(message, None) if owes.takes_result else (message,),
        takes_result=owes.takes_result,
        task_queue=owes.task_queue,
        policy=owes.policy,
    )


def _end(ledger: Ledger, address: str, verdict: ActivityOutcome) -> None:
    if verdict.outcome is Outcome.DONE:
        ledger.complete(address, verdict.value)
    elif verdict.outcome is not Outcome.STARTED:
        ledger.fail(address, verdict.outcome)


def _end_child(ledger: Ledger, child: ChildRecord) -> set[str]:
    """A child that said what it owes is believed; of any other one its own history tells.

    Returns:
        The addresses of what only a run of it has done that a reset has left behind.
    """
    close = closure_of_child(child)
    if child.was_refused or child.is_missing:
        ledger.fail(child.address, Outcome.REJECTED if child.was_refused else Outcome.WITHDRAWN)
    elif close is None:
        return set()
    elif not close.is_a_word:
        _end_lost_child(ledger, child)
    elif close.owed is None:
        ledger.fail(child.address, Outcome.REJECTED)
    else:
        ledger.complete_child(child.address, plan_in_parent(child.address, close.owed, child.task_queue))
    if child.record is None or not _was_reset(child.record):
        return set()
    left = plan_in_parent(child.address, rebuild_saga(child.record).left, child.task_queue)
    if left and close is not None and close.is_a_word:
        ledger.complete_child(child.address, (*ledger.entries[child.address].compensations, *left))
    return {owed.address for owed in flatten(left)}


def _was_reset(record: SagaRecord) -> bool:
    return bool(record.bases) or any(child.record and _was_reset(child.record) for child in record.children)


def _end_lost_child(ledger: Ledger, child: ChildRecord) -> None:
    """What it owes, less what its own rescues have made up for; one with other activities cannot be told."""
    record = child.record
    if record is None or record.close is None or record.close.kind == SAGA_UNACCOUNTED:
        ledger.fail(child.address, Outcome.UNKNOWN)
        return
    owed = rebuild_saga(record).plan()
    ledger.complete_child(child.address, plan_in_parent(child.address, owed, child.task_queue))


def _end_pivot_child(ledger: Ledger, record: SagaRecord, child: ChildRecord) -> Outcome:
    """What became of a pivot that is a child; one that was cut off is where its own history says."""
    verdict = _by_hand_verdict(record, child.address)
    if verdict is not None:
        _end(ledger, child.address, verdict)
        return verdict.outcome
    _end_child(ledger, child)
    outcome = ledger.entries[child.address].outcome
    close = closure_of_child(child)
    if outcome is Outcome.DONE and close is not None and not close.is_a_word:
        assert child.record is not None
        return (
            Outcome.UNKNOWN
            if rebuild_saga(child.record).way is RecoveryDirection.FORWARD
            else Outcome.REJECTED
        )
    return outcome
