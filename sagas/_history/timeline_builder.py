"""Tells a saga's story from its record."""

from collections.abc import Iterator
from operator import itemgetter

from .._core.activity_outcome import ActivityOutcome
from .._core.compensation import flatten
from .._core.ids import in_parent
from .._core.lifecycle import ManualResolution
from .._core.outcome import Outcome
from .._core.purpose import Purpose
from .._core.status import Status, has_ended
from .._wire.failures import SAGA_REFUSED
from .._wire.operator_requests import AuditEntry
from .._wire.rescue import RESCUE_TYPE, RescueRequest
from .._wire.timer_summaries import DEADLINE, NEXT_ATTEMPT
from .closure import CloseStatus, Closure
from .ledger_rebuild import RebuiltSaga, RecoveryDirection, outcome_of_attempts, rebuild_saga
from .resets import with_bases
from .saga_record import (
    COUNTED,
    ActivityRecord,
    ChildRecord,
    SagaRecord,
    closure_of_child,
    manual_resolutions_of,
)
from .timeline import (
    CancelRequest,
    CompensationLine,
    CompensationState,
    PendingWait,
    StepLine,
    TaskFailure,
    Timeline,
)
from .unresolved_children import unresolved_children


def build_timeline(record: SagaRecord) -> Timeline:
    """Tells a saga's story, with those of its children and rescues where they were read."""
    rebuilt, record = rebuild_saga(record), with_bases(record)
    close = record.close
    status = status_of(record, rebuilt)
    return Timeline(
        id=record.id,
        run_id=record.run_id,
        type=record.type,
        status=status,
        since=record.status_at if status == record.status else None,
        way=rebuilt.way,
        started_at=record.started_at,
        ended_at=close and close.at,
        closed=close and close.how,
        code=close.code if close else "",
        reason=close.reason if close else "",
        steps=tuple(_steps(record, rebuilt)),
        fault=_fault(record),
        waits=tuple(_waits(record, status, rebuilt.way)) if close is None else (),
        verbs=tuple(_verbs(record)),
        cancels=tuple(CancelRequest(at=at, reason=reason) for at, reason in record.cancels),
        continued_from=record.continued_from,
        continued_as=record.continued_as,
        rescues=tuple(map(build_timeline, record.own_rescues)),
    )


def _fault(record: SagaRecord) -> TaskFailure | None:
    if record.fault is None or record.close is not None:
        return None
    since, reason = record.fault
    return TaskFailure(reason=reason, since=since)


def _waits(record: SagaRecord, status: str, way: RecoveryDirection) -> Iterator[PendingWait]:
    """What its timers are for; one that is stuck and does nothing was refused for good.

    Its deadline matters up to its pivot, unless it has turned round before.
    What was under way when it was reset is nothing that it does: nobody hears of the end of that.
    """
    if record.is_paused:
        yield PendingWait(what="until its workflow is unpaused in Temporal")
    is_in_time = way is RecoveryDirection.BACK and status in (Status.RUNNING, Status.HELD)
    passed_over = ("", Status.HELD) if is_in_time else ("", Status.HELD, DEADLINE)
    for until, what in record.timers.values():
        if what not in passed_over:
            yield PendingWait(what=what, until=until)
    own = (effort for effort in record.efforts if not effort.left_by)
    is_busy = any(effort.verdict.outcome is Outcome.STARTED for effort in own)
    will_try = any(what == NEXT_ATTEMPT for _, what in record.timers.values())
    if status == Status.STUCK and not is_busy and not will_try:
        yield PendingWait(what="for a person")


def _verbs(record: SagaRecord) -> Iterator[AuditEntry]:
    """What operators did, with the resets of the workflow, in their order."""
    resets = [
        (at, AuditEntry(verb="reset", at=at.isoformat(timespec="seconds"), by="", because=why))
        for at, why in record.resets
    ]
    verbs = [(verb.at, verb.entry) for verb in record.verbs]
    if record.type == RESCUE_TYPE and record.started_at is not None:
        request = RescueRequest.model_validate(record.request)
        at = record.started_at.isoformat(timespec="seconds")
        yield AuditEntry(verb="rescue", at=at, by=request.by, because=request.because)
    yield from (entry for _, entry in sorted([*resets, *verbs], key=itemgetter(0)))


def status_of(record: SagaRecord, rebuilt: RebuiltSaga) -> str:
    """The saga's status: what it said last, or else what its end says."""
    close = record.close
    if close is None:
        going = Status.COMPENSATING if rebuilt.lifecycle.has_compensated else Status.RUNNING
        return record.status or going.value
    if has_ended(record.status, is_child=bool(record.parent)):
        return record.status
    if close.how in (CloseStatus.TERMINATED, CloseStatus.TIMED_OUT):
        return close.how.value
    if close.how is CloseStatus.COMPLETED:
        return record.status or Status.COMPLETED.value
    if close.how is CloseStatus.CANCELED and not rebuilt.pending():
        return Status.COMPENSATED.value
    # A saga that was refused at the door has done nothing; one that ended otherwise may still owe.
    return "refused" if close.kind == SAGA_REFUSED else close.how.value


def _steps(record: SagaRecord, rebuilt: RebuiltSaga) -> Iterator[StepLine]:
    told: set[str] = set()
    unknown = unresolved_children(record)
    for line in record.lines:
        if isinstance(line, ChildRecord):
            yield _child(record, rebuilt, line, "" if line.left_by else unknown.get(line.address, ""))
        elif line.mark.purpose in (*COUNTED, Purpose.AFTERWARDS) and line.address not in told:
            told.add(line.address)
            about = (line.mark.purpose, Purpose.PROBE)
            same = [e for e in record.efforts if e.address == line.address and e.mark.purpose in about]
            yield _step(record, rebuilt, same)


def _step(record: SagaRecord, rebuilt: RebuiltSaga, efforts: list[ActivityRecord]) -> StepLine:
    first, last = efforts[0], efforts[-1]
    entry = rebuilt.ledger.entries.get(first.address)
    verdict = outcome_of_attempts(efforts)
    failure = _last_failure(efforts) if verdict.outcome is Outcome.STARTED else verdict
    is_insisted_on = first.mark.purpose in (Purpose.PIVOT, Purpose.RETRIABLE)
    settled = manual_resolutions_of(record).get(first.address) if is_insisted_on else None
    if settled is not None:
        failure = ActivityOutcome(Outcome.DONE)
    return StepLine(
        address=first.address,
        purpose=first.mark.purpose.value,
        outcome=entry.outcome if entry else verdict.outcome,
        activity=first.activity,
        started_at=first.scheduled_at,
        ended_at=last.ended_at,
        attempts=sum(effort.attempts for effort in efforts if effort.mark.purpose is not Purpose.PROBE),
        code=failure.code,
        reason=failure.reason,
        compensations=tuple(_compensations(record, rebuilt, first.address)),
        left_by=last.left_by,
        by_hand=settled,
    )


def _last_failure(efforts: list[ActivityRecord]) -> ActivityOutcome:
    """Why it is not done yet, also while it is being tried again."""
    ended = (effort.verdict for effort in reversed(efforts) if effort.verdict.outcome is not Outcome.STARTED)
    return next(ended, ActivityOutcome(Outcome.STARTED))


def _child(record: SagaRecord, rebuilt: RebuiltSaga, child: ChildRecord, unknown: str) -> StepLine:
    """A child; one of which its parent does not know what it owes is not simply done."""
    close: Closure | None = closure_of_child(child)
    compensations = tuple(_compensations(record, rebuilt, child.address))
    story = build_timeline(child.record) if child.record else None
    if story is not None and rebuilt.ledger.entries[child.address].outcome is Outcome.DONE:
        story = _handed_over(story, child.address, {each.address: each for each in compensations})
    return StepLine(
        address=child.address,
        purpose="child",
        outcome=Outcome.UNKNOWN if unknown else rebuilt.ledger.entries[child.address].outcome,
        activity=child.record.type if child.record else "",
        started_at=child.asked_at,
        ended_at=close and close.at,
        code=close.code if close else "",
        reason=unknown or (close.reason if close else ""),
        compensations=compensations,
        child=story,
        left_by=child.left_by,
        by_hand=manual_resolutions_of(record).get(child.address) if child.is_pivot else None,
    )


def _handed_over(story: Timeline, child: str, compensations: dict[str, CompensationLine]) -> Timeline:
    """The story of a child that has closed: its parent makes up for it, or does not have to any more."""
    steps = tuple(
        line.model_copy(
            update={
                "compensations": tuple(
                    compensations[address]
                    for each in line.compensations
                    if (address := in_parent(child, each.address)) in compensations
                ),
                "child": line.child
                and _handed_over(line.child, in_parent(child, line.address).replace(":", "/"), compensations),
            }
        )
        for line in story.steps
    )
    return story.model_copy(update={"steps": steps})


def _compensations(record: SagaRecord, rebuilt: RebuiltSaga, address: str) -> Iterator[CompensationLine]:
    """What makes up for one line of the ledger; what is not owed, and was never scheduled, is not told."""
    entry = rebuilt.ledger.entries.get(address)
    if entry is None:
        return
    whose = (record, *record.own_rescues)
    settled = dict[str, ManualResolution]()
    for each in whose:
        settled |= manual_resolutions_of(each)
    planned = set[str]() if record.has_completed else {each.address for each in rebuilt.pending()}
    for owed in flatten(entry.compensations):
        efforts = [
            effort
            for each in whose
            for effort in each.efforts
            if effort.mark.purpose is Purpose.COMPENSATION and effort.address == owed.address
        ]
        if not efforts and owed.address not in planned and owed.address not in settled:
            continue
        last = efforts[-1] if efforts else None
        yield CompensationLine(
            address=owed.address,
            activity=owed.activity,
            state=_state(record, last, settled.get(owed.address)),
            started_at=efforts[0].scheduled_at if efforts else None,
            ended_at=last.ended_at if last and last.verdict.outcome is Outcome.DONE else None,
            attempts=sum(effort.attempts for effort in efforts),
            reason=_last_failure(efforts).reason if last and last.verdict.outcome is not Outcome.DONE else "",
        )


def _state(
    record: SagaRecord, last: ActivityRecord | None, settled: ManualResolution | None
) -> CompensationState:
    if last is not None and last.verdict.outcome is Outcome.DONE:
        return CompensationState.DONE
    if settled is not None:
        return CompensationState.SKIPPED if settled == "skipped" else CompensationState.BY_HAND
    if last is None:
        return CompensationState.PARENTS if record.is_handed_over else CompensationState.OWED
    is_under_way = last.verdict.outcome is Outcome.STARTED
    return CompensationState.UNDER_WAY if is_under_way else CompensationState.FAILING
