"""Builds timelines from the records of sagas."""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import asdict, dataclass
from datetime import datetime
from operator import itemgetter
from typing import Self

from .._core.activity_outcome import ActivityOutcome
from .._core.compensation import PendingCompensation, flatten
from .._core.ids import CONFIRM, in_parent
from .._core.lifecycle import ManualResolution
from .._core.outcome import Outcome
from .._core.purpose import Purpose
from .._core.saga_outcome import RemainingEffect
from .._core.status import FAILING_CODE, Status, has_ended
from .._wire.failures import SAGA_REFUSED
from .._wire.operator_requests import AuditEntry
from .._wire.rescue import RESCUE_TYPE, RescueRequest
from .._wire.timer_summaries import DEADLINE, NEXT_ATTEMPT, approval_in
from .closure import CloseStatus, Closure
from .ledger_rebuild import (
    RebuiltSaga,
    RecoveryDirection,
    outcome_of_attempts,
    outcome_of_independent,
    rebuild_saga,
)
from .preview import build_preview
from .saga_record import (
    LEDGER_PURPOSES,
    ActivityRecord,
    ChildRecord,
    SagaRecord,
    closure_of_child,
    manual_resolutions_of,
)
from .superseded_runs import with_superseded_runs
from .timeline import (
    FOR_OPERATOR,
    FOR_WORKER,
    UNTIL_ACTIVITY_UNPAUSED,
    UNTIL_APPROVED,
    UNTIL_UNPAUSED,
    CancelRequest,
    CompensationLine,
    CompensationState,
    ConfirmationLine,
    ForeignLine,
    PendingWait,
    StepLine,
    TaskFailure,
    Timeline,
)
from .unresolved_children import unresolved_children

STEP_PURPOSES = (*LEDGER_PURPOSES, Purpose.AFTER_COMPENSATION)
"""The purposes of actions that have a line in the timeline."""


def build_timeline(record: SagaRecord) -> Timeline:
    """Builds the timeline of a saga, including children and rescues."""
    rebuilt, remaining = rebuild_saga(record), _remaining_effects(record)
    record = with_superseded_runs(record)
    closure, failure = record.closure, record.task_failure
    status = published = _status_of(record, rebuilt)
    if failure and closure is None and not has_ended(published, is_child=bool(record.parent)):
        status = FAILING_CODE
    return Timeline(
        id=record.id,
        run_id=record.run_id,
        type=record.type,
        status=status,
        status_at=_status_at(record, status),
        recovery_direction=rebuilt.direction,
        started_at=record.started_at,
        ended_at=closure and closure.closed_at,
        close_status=closure and closure.status,
        code=closure.code if closure else "",
        reason=closure.reason if closure else "",
        steps=tuple(_steps(record, rebuilt)),
        foreign_work=tuple(ForeignLine.model_validate(asdict(work)) for work in record.foreign_work),
        remaining_effects=remaining,
        compensating_units=_compensating_units(record) if closure is None else (),
        task_failure=TaskFailure(reason=failure.reason, since=failure.at, causes=failure.causes)
        if failure and closure is None
        else None,
        waits=tuple(_waits(record, published, rebuilt.direction)) if closure is None else (),
        audit_trail=tuple(_audit_trail(record)),
        cancel_requests=tuple(
            CancelRequest(at=each.at, reason=each.reason) for each in record.cancel_requests
        ),
        independent_of=record.independent_of,
        continued_from=record.continued_from,
        continued_as=record.continued_as,
        rescues=tuple(map(build_timeline, record.own_rescues)),
    )


def _status_at(record: SagaRecord, status: str) -> datetime | None:
    """The time since which the saga has a status; None for an unpublished status."""
    if status == FAILING_CODE:
        return record.task_failure and record.task_failure.at
    return record.status_at if status == record.status else None


def _remaining_effects(record: SagaRecord) -> tuple[RemainingEffect, ...]:
    """The effects that stay; a saga that goes forward has a preview instead, and a child's root lists all."""
    if record.parent or record.type == RESCUE_TYPE:
        return ()
    preview = build_preview(record)
    is_backward = preview.recovery_direction is RecoveryDirection.BACKWARD and not preview.has_completed
    has_left = preview.is_compensating or record.closure is not None
    return preview.remaining_effects if is_backward and has_left else ()


def _waits(record: SagaRecord, status: str, direction: RecoveryDirection) -> Iterator[PendingWait]:
    """The conditions for which an open saga waits.

    A stuck saga without a running activity, without a timer for the next attempt and without a task for a
    worker waits for an operator.
    Activities of superseded runs do not count: the current run never receives their results.
    """
    if record.is_paused:
        yield PendingWait(condition=UNTIL_UNPAUSED)
    elif (since := record.without_worker_since) and record.task_failure is None:
        yield PendingWait(condition=FOR_WORKER, since=since, subject=record.task_queue)
    for paused in (each.activity_id for each in record.activities if each.is_paused):
        command = f"temporal activity unpause --workflow-id {record.id} --activity-id {paused}"
        yield PendingWait(condition=UNTIL_ACTIVITY_UNPAUSED, subject=paused, command=command)
    yield from awaited_approvals(record)
    # The deadline has no effect once the saga is past the pivot or compensates.
    has_deadline = direction is RecoveryDirection.BACKWARD and status in (Status.RUNNING, Status.HELD)
    hidden = ("", Status.HELD) if has_deadline else ("", Status.HELD, DEADLINE)
    for timer in record.timers.values():
        if timer.summary not in hidden and approval_in(timer.summary) is None:
            yield PendingWait(condition=timer.summary, until=timer.fires_at)
    is_busy = any(each.is_under_way for each in record.activities if not each.superseded_run_id)
    will_retry = any(timer.summary == NEXT_ATTEMPT for timer in record.timers.values())
    if status == Status.STUCK and not (is_busy or will_retry or record.pending_task_since):
        yield PendingWait(condition=FOR_OPERATOR)


def awaited_approvals(record: SagaRecord) -> Iterator[PendingWait]:
    """The approvals for which an open saga waits."""
    for timer in record.timers.values():
        if (approval := approval_in(timer.summary)) is None:
            continue
        name, role = approval
        with_role = f" --role {shlex.quote(role)}" if role else ""
        yield PendingWait(
            condition=UNTIL_APPROVED,
            until=timer.fires_at,
            subject=name,
            role=role,
            command=f"sagas approve {record.id} {name}{with_role} --because REASON",
        )


def _compensating_units(record: SagaRecord) -> tuple[str, ...]:
    """The units of the compensations that are not done, and were not resolved manually."""
    last = {each.address: each for each in record.compensations if each.header.unit}
    resolved = manual_resolutions_of(record)
    units = (
        each.header.unit for address, each in last.items() if not each.is_done and address not in resolved
    )
    return tuple(dict.fromkeys(units))


def _audit_trail(record: SagaRecord) -> Iterator[AuditEntry]:
    """Verbs, forgotten steps and resets in time order; before, the request that started a rescue workflow."""
    if record.type == RESCUE_TYPE and record.started_at is not None:
        request = RescueRequest.from_json_value(record.input)
        yield AuditEntry.from_request("rescue", dict(request), record.started_at)
    resets = [
        (reset.at, AuditEntry.from_request("reset", {"because": reset.reason}, reset.at))
        for reset in record.resets
    ]
    forgotten = [
        (each.at, AuditEntry.of_forgotten_step(address, each.reason, each.at))
        for address, each in record.forgotten.items()
    ]
    verbs = [(verb.executed_at, verb.entry) for verb in record.verbs]
    yield from (entry for _, entry in sorted([*resets, *forgotten, *verbs], key=itemgetter(0)))


def _status_of(record: SagaRecord, rebuilt: RebuiltSaga) -> str:
    """The last published status of the saga, or the status that follows from the close of the workflow."""
    closure = record.closure
    if closure is None:
        unpublished = Status.COMPENSATING if rebuilt.lifecycle.has_compensated else Status.RUNNING
        return record.status or unpublished.value
    if has_ended(record.status, is_child=bool(record.parent)):
        return record.status
    if closure.status.is_interrupted:
        return closure.status.value
    if closure.is_completed:
        return record.status or Status.COMPLETED.value
    if closure.status is CloseStatus.CANCELED and not rebuilt.pending():
        return Status.COMPENSATED.value
    # A saga that was refused before its first step has no effects; any other one may have to be rescued.
    return "refused" if closure.error_type == SAGA_REFUSED else closure.status.value


@dataclass(frozen=True, slots=True)
class _Saga:
    """A saga with the activities by address, collected once: a saga may have thousands of steps.

    Args:
        record: The record of the saga.
        rebuilt: The state of the saga.
        actions: The actions and probes.
        compensations: The compensations, those of the rescues included.
        confirmations: The confirmations.
        planned: The addresses of the pending compensations.
        to_confirm: The addresses of the pending confirmations.
        resolutions: The manual resolutions of the saga.
        all_resolutions: The manual resolutions of the saga and of the rescues.
    """

    record: SagaRecord
    rebuilt: RebuiltSaga
    actions: Mapping[str, list[ActivityRecord]]
    compensations: Mapping[str, list[ActivityRecord]]
    confirmations: Mapping[str, list[ActivityRecord]]
    planned: Set[str]
    to_confirm: Set[str]
    resolutions: Mapping[str, ManualResolution]
    all_resolutions: Mapping[str, ManualResolution]

    @classmethod
    def of(cls, record: SagaRecord, rebuilt: RebuiltSaga) -> Self:
        records = (record, *record.own_rescues)
        all_resolutions = dict[str, ManualResolution]()
        for each in records:
            all_resolutions |= manual_resolutions_of(each)
        return cls(
            record=record,
            rebuilt=rebuilt,
            actions=_by_address(
                each for each in record.activities if each.header.purpose in (*STEP_PURPOSES, Purpose.PROBE)
            ),
            compensations=_by_address(activity for each in records for activity in each.compensations),
            confirmations=_by_address(record.confirmations),
            planned=set() if record.has_completed else {each.address for each in rebuilt.pending()},
            to_confirm={each.address for each in rebuilt.ledger.confirmations()},
            resolutions=manual_resolutions_of(record),
            all_resolutions=all_resolutions,
        )


def _by_address(activities: Iterable[ActivityRecord]) -> Mapping[str, list[ActivityRecord]]:
    by_address: dict[str, list[ActivityRecord]] = {}
    for each in activities:
        by_address.setdefault(each.address, []).append(each)
    return by_address


def _steps(record: SagaRecord, rebuilt: RebuiltSaga) -> Iterator[StepLine]:
    saga = _Saga.of(record, rebuilt)
    seen = set[str]()
    unresolved = unresolved_children(record)
    for item in record.in_order:
        if isinstance(item, ChildRecord) and item.is_independent:
            yield _independent_line(item)
        elif isinstance(item, ChildRecord):
            problem = "" if item.superseded_run_id else unresolved.get(item.address, "")
            yield _child_line(saga, item, problem)
        elif item.header.purpose in STEP_PURPOSES and item.address not in seen:
            seen.add(item.address)
            purposes = (item.header.purpose, Purpose.PROBE)
            same_step = [each for each in saga.actions[item.address] if each.header.purpose in purposes]
            yield _step_line(saga, same_step)


def _independent_line(saga: ChildRecord) -> StepLine:
    """The line of an independent saga, with a timeline of its own."""
    closure = closure_of_child(saga)
    return StepLine(
        address=saga.address,
        purpose="independent",
        outcome=outcome_of_independent(saga),
        activity=saga.record.type if saga.record else "",
        started_at=saga.initiated_at,
        ended_at=closure and closure.closed_at,
        code=closure.code if closure else "",
        reason=closure.reason if closure else "",
        child=build_timeline(saga.record) if saga.record else None,
    )


def _step_line(saga: _Saga, activities: list[ActivityRecord]) -> StepLine:
    """The line of a step, from the activities and probes in order."""
    first, last = activities[0], activities[-1]
    entry = saga.rebuilt.ledger.entries.get(first.address)
    result = outcome_of_attempts(activities)
    failure = _last_result(activities) if result.outcome is Outcome.STARTED else result
    is_retried_until_done = first.header.purpose in (Purpose.PIVOT, Purpose.RETRIABLE)
    resolution = saga.resolutions.get(first.address) if is_retried_until_done else None
    if resolution is not None:
        failure = ActivityOutcome(Outcome.DONE)
    return StepLine(
        address=first.address,
        purpose=first.header.purpose.value,
        outcome=entry.outcome if entry else result.outcome,
        activity=first.activity,
        started_at=first.scheduled_at,
        ended_at=last.ended_at,
        effect=first.header.effect,
        attempts=sum(each.attempts for each in activities if each.header.purpose is not Purpose.PROBE),
        code=failure.code,
        reason=failure.reason,
        compensations=tuple(_compensation_lines(saga, first.address)),
        superseded_run_id=last.superseded_run_id,
        manual_resolution=resolution,
        is_paused=any(each.is_paused for each in activities),
        sections=tuple(section.address for section in first.header.sections),
        confirmations=tuple(_confirmation_lines(saga, first.address)),
    )


def _last_result(activities: list[ActivityRecord]) -> ActivityOutcome:
    """The result of the last ended activity: the reason of the current attempt."""
    ended = (each.result for each in reversed(activities) if not each.is_under_way)
    return next(ended, ActivityOutcome(Outcome.STARTED))


def _child_line(saga: _Saga, child: ChildRecord, problem: str) -> StepLine:
    """The line of a child; a child with a problem has an unknown outcome for the parent."""
    closure: Closure | None = closure_of_child(child)
    outcome = saga.rebuilt.ledger.entries[child.address].outcome
    compensations = tuple(_compensation_lines(saga, child.address))
    confirmations = tuple(_confirmation_lines(saga, child.address))
    timeline = build_timeline(child.record) if child.record else None
    if timeline is not None and outcome is Outcome.DONE:
        timeline = _with_lines_of_parent(
            timeline,
            child.address,
            {each.address: each for each in compensations},
            {each.address: each for each in confirmations},
        )
    return StepLine(
        address=child.address,
        purpose=Purpose.PIVOT.value if child.is_pivot else "child",
        outcome=Outcome.UNKNOWN if problem else outcome,
        activity=child.record.type if child.record else "",
        started_at=child.initiated_at,
        ended_at=closure and closure.closed_at,
        code=closure.code if closure else "",
        reason=problem or (closure.reason if closure else ""),
        compensations=compensations,
        confirmations=confirmations,
        child=timeline,
        superseded_run_id=child.superseded_run_id,
        manual_resolution=saga.resolutions.get(child.address) if child.is_pivot else None,
        sections=tuple(section.address for section in child.sections),
    )


def _with_lines_of_parent(
    timeline: Timeline,
    child: str,
    compensations: Mapping[str, CompensationLine],
    confirmations: Mapping[str, ConfirmationLine],
) -> Timeline:
    """The timeline of a completed child with the compensations and confirmations that the parent runs."""
    steps = tuple(
        line.model_copy(
            update={
                "compensations": tuple(
                    compensations[address]
                    for each in line.compensations
                    if (address := in_parent(child, each.address)) in compensations
                ),
                "confirmations": tuple(
                    confirmations[address]
                    for each in line.confirmations
                    if (address := in_parent(child, each.address)) in confirmations
                ),
                "child": line.child
                and _with_lines_of_parent(
                    line.child,
                    in_parent(child, line.address).replace(":", "/"),
                    compensations,
                    confirmations,
                ),
            }
        )
        for line in timeline.steps
    )
    return timeline.model_copy(update={"steps": steps})


def _compensation_lines(saga: _Saga, address: str) -> Iterator[CompensationLine]:
    """The pending, scheduled and manually resolved compensations of a ledger entry."""
    entry = saga.rebuilt.ledger.entries.get(address)
    if entry is None:
        return
    resolutions = saga.all_resolutions
    for pending in flatten(entry.compensations):
        activities = saga.compensations.get(pending.address, [])
        if not activities and pending.address not in saga.planned and pending.address not in resolutions:
            continue
        line = _line(saga.record, pending, activities, resolutions.get(pending.address))
        behind = saga.rebuilt.waiting.get(pending.address, "")
        if behind and line.state is CompensationState.PENDING:
            line = line.model_copy(update={"state": CompensationState.WAITING, "behind": behind})
        yield line


def _confirmation_lines(saga: _Saga, address: str) -> Iterator[ConfirmationLine]:
    """The pending, scheduled and manually completed confirmations of a ledger entry."""
    entry = saga.rebuilt.ledger.entries.get(address)
    for pending in entry.confirmations if entry else ():
        activities = saga.confirmations.get(pending.address, [])
        is_planned = pending.address in saga.to_confirm and not saga.rebuilt.lifecycle.has_compensated
        if activities or is_planned:
            resolution = saga.resolutions.get(f"{CONFIRM}{pending.address}")
            line = _line(saga.record, pending, activities, resolution)
            yield ConfirmationLine.model_validate(dict(line))


def _line(
    record: SagaRecord,
    pending: PendingCompensation,
    activities: list[ActivityRecord],
    resolution: ManualResolution | None,
) -> CompensationLine:
    last = activities[-1] if activities else None
    return CompensationLine(
        address=pending.address,
        activity=pending.activity,
        state=_compensation_state(record, last, resolution),
        started_at=activities[0].scheduled_at if activities else None,
        ended_at=last.ended_at if last and last.is_done else None,
        attempts=sum(activity.attempts for activity in activities),
        reason=_last_result(activities).reason if last and not last.is_done else "",
    )


def _compensation_state(
    record: SagaRecord, last: ActivityRecord | None, resolution: ManualResolution | None
) -> CompensationState:
    if last is not None and last.is_done:
        return CompensationState.DONE
    if resolution is not None:
        is_skipped = resolution == "skipped"
        return CompensationState.SKIPPED if is_skipped else CompensationState.COMPLETED_MANUALLY
    if last is None:
        return CompensationState.OF_PARENT if record.is_handed_over else CompensationState.PENDING
    if last.is_paused:
        return CompensationState.PAUSED
    return CompensationState.UNDER_WAY if last.is_under_way else CompensationState.FAILING
