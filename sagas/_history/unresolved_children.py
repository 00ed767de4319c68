"""Finds the closed children of an open saga whose pending compensations the saga does not know.

An unresolved child keeps its parent stuck until an operator resolves the child. The close of the child, for
example a termination, shows most problems. A child whose result the parent's code cannot read has a regular
close; then only the parent's behaviour shows the problem: the parent is stuck, and schedules no compensation
of the child.
"""

from collections.abc import Sequence

from .._core.compensation import flatten
from .._core.ids import in_parent
from .._core.purpose import Purpose
from .._core.status import Status
from .closure import CloseStatus
from .saga_record import ActivityRecord, ChildRecord, SagaRecord, Scheduled, manually_resolved


def unresolved_children(record: SagaRecord) -> dict[str, str]:
    """Why a saga does not know the pending compensations of a child, by the address of the child.

    Empty for a closed saga.
    """
    if record.closure is not None:
        return {}
    scheduled = [item for item in record.scheduled if not item.superseded_run_id]
    resolved = manually_resolved(record)
    children = [item for item in scheduled if isinstance(item, ChildRecord) and item.address not in resolved]
    unreported = [child for child in children if child.closure and child.closure.pending is None]
    completed = [
        child
        for child in children
        if child.closure and child.closure.is_completed and child.closure.pending is not None
    ]
    unconsumed: list[ChildRecord] = []
    if record.status == Status.STUCK and not record.has_pending_workflow_task:
        if not record.has_compensated:
            # No step runs beside the pivot, and a step follows a pivot with a known outcome.
            unconsumed = [child for child in completed if child.is_pivot and child is scheduled[-1]]
        else:
            unconsumed = _not_compensated(scheduled, completed, resolved, has_other_reason=bool(unreported))
    return {child.address: _explain(child) for child in (*unreported, *unconsumed)}


def _not_compensated(
    scheduled: Sequence[Scheduled],
    completed: Sequence[ChildRecord],
    resolved: frozenset[str],
    *,
    has_other_reason: bool,
) -> list[ChildRecord]:
    """The children without compensations in a stuck, compensating saga.

    A compensating saga first runs all known compensations.

    Args:
        scheduled: The activities and children of the saga.
        completed: The completed children.
        resolved: The addresses of manually resolved steps.
        has_other_reason: Whether other children already explain why the saga is stuck.
    """
    activities = [item for item in scheduled if isinstance(item, ActivityRecord)]
    last = {each.address: each for each in activities if each.header.purpose is Purpose.COMPENSATION}
    if any(not last[address].is_done for address in last.keys() - resolved):
        return []
    with_missing = [child for child in completed if not _pending_addresses(child) <= last.keys()]
    with_none = [child for child in completed if not _pending_addresses(child)]
    if with_missing or has_other_reason:
        return with_missing
    # A saga starts compensating as soon as it cannot read a result: the last child to close is the likely
    # cause.
    return sorted(
        with_none, key=lambda child: child.closure.closed_at if child.closure else child.initiated_at
    )[-1:]


def _pending_addresses(child: ChildRecord) -> set[str]:
    """The addresses of the reported pending compensations in the parent."""
    pending = child.closure.pending if child.closure else None
    return {in_parent(child.address, each.address) for each in flatten(pending or ())}


def _explain(child: ChildRecord) -> str:
    status = child.closure.status if child.closure else None
    closures = (child.closure, child.record and child.record.closure)
    reason = next((each.reason for each in closures if each and each.reason), "")
    match status:
        case CloseStatus.COMPLETED:
            problem = "the child completed, but the parent could not read the result"
        case CloseStatus.TERMINATED:
            problem = f"the child was terminated: {reason}" if reason else "the child was terminated"
        case CloseStatus.TIMED_OUT:
            problem = "the child timed out"
        case _:
            problem = reason or "the child failed"
    action = "find out whether the pivot happened" if child.is_pivot else "resolve its compensations"
    return f"{problem}; an operator must {action}"
