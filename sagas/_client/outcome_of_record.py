"""Derives the outcome of a closed saga from the record of the saga: no I/O."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, Never

from .._core.activity_outcome import ActivityOutcome
from .._core.ids import in_parent
from .._core.lifecycle import ManualResolution
from .._core.outcome import Outcome
from .._core.saga_outcome import Compensated, CutOff, RemainingEffect, ResolvedStep, Settled
from .._core.status import Status
from .._errors import StartError
from .._history.closure import CloseStatus, Closure
from .._history.ledger_rebuild import RecoveryDirection, rebuild_saga
from .._history.preview import Preview, build_preview
from .._history.saga_record import ChildRecord, SagaRecord, closure_of_child, manual_resolutions_of
from .._wire.failures import SAGA_COMPENSATED, SAGA_REFUSED, SAGA_SETTLED
from .._wire.operator_requests import COMPLETE, SKIP

CANCELLED = "cancelled"
"""The code of a saga that compensated because its workflow was cancelled."""
INTERRUPTED = {CloseStatus.TERMINATED: "terminated", CloseStatus.TIMED_OUT: "timed_out"}
"""The codes of sagas that a rescue compensated after the server had ended their workflows."""
REPORTED = (SAGA_COMPENSATED, SAGA_SETTLED)
"""The types of the errors with which a saga reports that every compensation has run."""


def outcome_of_record(record: SagaRecord) -> Compensated | Settled[Never] | CutOff:
    """Derives the outcome of a closed saga; for a saga that completed, only if the result is missing.

    Args:
        record: The saga with children and rescues. The saga and the rescues have closed.

    Raises:
        StartError: The saga was refused before the first step.
    """
    closure = _closure_of(record)
    if closure.error_type == SAGA_REFUSED and not record.scheduled and record.continued_state is None:
        raise StartError(f"saga {record.id!r} was refused before its first step: {closure.reason}")
    preview = build_preview(record)
    if has_compensated(record) or _was_cancelled(record, preview):
        return _compensated(record, preview, rescue_id=None)
    rescue_id = record.own_rescues[-1].id if record.own_rescues else None
    is_past_pivot = preview.recovery_direction is RecoveryDirection.FORWARD and not record.has_completed
    is_ended = record.has_completed or is_past_pivot or _is_pending(preview)
    if rescue_id is not None and not is_ended:
        return _compensated(record, preview, rescue_id=rescue_id)
    return CutOff(
        how=_close_status(closure),
        code=closure.code,
        reason=closure.reason,
        pending_compensations=(*preview.compensations, *preview.superseded_compensations),
        unresolved_children=preview.unresolved_children,
        is_past_pivot=is_past_pivot,
        has_completed=record.has_completed,
        rescue_id=rescue_id,
        remaining_effects=() if record.has_completed else preview.remaining_effects,
    )


def has_compensated(record: SagaRecord) -> bool:
    """Tells whether a saga reported the end of all compensations, by an error or by the status.

    A workflow that handles the error of the saga closes in another way, and the status remains.
    """
    if _closure_of(record).error_type in REPORTED or record.status == Status.COMPENSATED:
        return True
    return record.status == Status.SETTLED and record.has_compensated


def manual_resolutions(record: SagaRecord) -> dict[str, ManualResolution]:
    """Collects the manual resolutions of a saga, of the children and of the rescues, by address."""
    resolutions: dict[str, ManualResolution] = {}
    if _closure_of(record).error_type in REPORTED:
        resolutions |= _closure_of(record).manual_resolutions
    else:
        resolutions |= record.continued_state.manual_resolutions if record.continued_state else {}
        for each in (*record.superseded_runs, record):
            resolutions |= manual_resolutions_of(each)
        for child in record.children:
            if child.record is not None and child.record.closure is not None:
                of_child = manual_resolutions(child.record)
                resolutions |= {in_parent(child.address, each): how for each, how in of_child.items()}
    for rescue in record.own_rescues:
        resolutions |= manual_resolutions_of(rescue)
    return resolutions


def resolved_steps(record: SagaRecord) -> tuple[ResolvedStep, ...]:
    """The manually resolved steps with the operators' reasons, and with the failures of the steps."""
    details = {each.address: each for each in _resolutions_in(record)}
    return tuple(
        replace(details.get(address) or ResolvedStep(address=address, resolution=how), resolution=how)
        for address, how in manual_resolutions(record).items()
    )


def _resolutions_in(record: SagaRecord) -> Iterator[ResolvedStep]:
    """Every manual resolution in the histories of a saga, of the children and of the rescues, in order."""
    for child in record.children:
        if child.record is not None:
            for each in _resolutions_in(child.record):
                yield replace(each, address=in_parent(child.address, each.address))
    state = record.continued_state
    earlier = [entry for entry in state.audit_trail if entry.verb in (SKIP, COMPLETE)] if state else []
    for run in (*record.superseded_runs, record, *record.own_rescues):
        entries = [verb.entry for verb in run.verbs if verb.entry.verb in (SKIP, COMPLETE)]
        for entry in (*(earlier if run is record else ()), *entries):
            failure = _last_failure(run, entry.target)
            yield ResolvedStep(
                address=entry.target,
                resolution="skipped" if entry.verb == SKIP else "completed-manually",
                by=entry.by,
                because=entry.because,
                code=failure.code,
                reason=failure.reason,
            )


def _last_failure(record: SagaRecord, address: str) -> ActivityOutcome | Closure:
    """The last failure of the step or child with an address."""
    for item in reversed(record.scheduled):
        if item.address != address:
            continue
        if isinstance(item, ChildRecord):
            return closure_of_child(item) or ActivityOutcome(Outcome.UNKNOWN)
        if not (item.is_done or item.is_under_way):
            return item.result
    return ActivityOutcome(Outcome.UNKNOWN)


def _was_cancelled(record: SagaRecord, preview: Preview) -> bool:
    """Tells whether a workflow closed as cancelled, without pending compensations."""
    is_backward = preview.recovery_direction is RecoveryDirection.BACKWARD and not record.has_completed
    return _closure_of(record).status is CloseStatus.CANCELED and is_backward and not _is_pending(preview)


def _is_pending(preview: Preview) -> bool:
    return bool(preview.compensations or preview.superseded_compensations or preview.unresolved_children)


def _compensated(
    record: SagaRecord, preview: Preview, *, rescue_id: str | None
) -> Compensated | Settled[Never]:
    closure = _closure_of(record)
    resolutions = manual_resolutions(record)
    is_closed_as_cancelled = closure.status is CloseStatus.CANCELED
    # A child that was cancelled alone gives its parent the same code.
    is_settled_by_cancel = bool(resolutions and record.cancel_requests) and closure.code == CANCELLED
    code, reason = INTERRUPTED.get(closure.status, closure.code), closure.reason
    if is_closed_as_cancelled:
        reason = next((why for _, why in reversed(record.cancel_requests) if why), reason)
    elif closure.status is CloseStatus.COMPLETED:
        reason = "the workflow handled the failure of its saga and returned a result"
    remaining_effects = tuple(_remaining_effects(record, preview))
    if not resolutions:
        return Compensated(
            code,
            reason=reason,
            field=closure.input_field,
            is_cancelled=is_closed_as_cancelled,
            rescue_id=rescue_id,
            remaining_effects=remaining_effects,
        )
    return Settled(
        None,
        code,
        is_compensated=True,
        manual_resolutions=resolutions,
        resolved_steps=resolved_steps(record),
        reason=reason,
        field=closure.input_field,
        is_cancelled=is_closed_as_cancelled or is_settled_by_cancel,
        rescue_id=rescue_id,
        remaining_effects=remaining_effects,
    )


def _remaining_effects(record: SagaRecord, preview: Preview) -> Iterator[RemainingEffect]:
    """The effects without a compensation, and the effects from before a reset."""
    yield from preview.remaining_effects
    if preview.superseded_compensations:
        entries = rebuild_saga(record).ledger.entries
        for each in preview.superseded_compensations:
            entry = entries.get(each.address)
            yield RemainingEffect(
                address=each.address,
                outcome=entry.outcome if entry else Outcome.UNKNOWN,
                reason="from before a reset of the workflow; a rescue compensates it",
            )


def _close_status(closure: Closure) -> Literal["terminated", "timed-out", "failed"]:
    match closure.status:
        case CloseStatus.TERMINATED:
            return "terminated"
        case CloseStatus.TIMED_OUT:
            return "timed-out"
        case _:
            return "failed"


def _closure_of(record: SagaRecord) -> Closure:
    assert record.closure is not None, f"saga {record.id!r} is open"
    return record.closure
