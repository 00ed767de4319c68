"""Rescues interrupted sagas: runs their pending compensations, or continues them past the pivot."""

from datetime import timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict
from temporalio.client import Client

from .._core.compensation import flatten, select
from .._core.ids import rescue_id, rescued_by
from .._errors import SagaNotFoundError, VerbRefusedError
from .._history.fetcher import HistoryFetcher
from .._history.ledger_rebuild import RecoveryDirection, rebuild_saga
from .._history.saga_record import SagaRecord
from .._wire.operator_requests import OperatorRequest
from .._wire.rescue import PendingCompensations, RescueRequest
from ._rescue_children import (
    open_descendants,
    open_independent_sagas,
    terminate_saga,
    wait_for_children,
)
from ._rescue_request import VERB, has_missing_chunks, pending_of, send_missing_chunks, start_rescue
from ._rescue_reset import reset_and_continue, was_reset_by_rescue

TERMINATE = "`sagas rescue --terminate`"
"""The command for an open saga whose code cannot be mended."""


class RescueDecision(StrEnum):
    """What a rescue does."""

    COMPENSATING = "compensating"
    """A rescue workflow runs the pending compensations."""
    CONTINUING = "continuing"
    """The saga continues, because its pivot is done or in doubt."""
    NOTHING_PENDING = "nothing-pending"
    """No compensation is pending, and nothing was started."""


class Rescue(BaseModel):
    """The rescue of a saga.

    Args:
        saga_id: The id of the saga.
        decision: What the rescue does.
        workflow_id: The rescue workflow or the continued saga; empty without either.
        run_id: The run of the workflow.
        pending: The addresses of the steps to compensate, the first to be compensated first.
        unresolved_children: The children with unknown pending compensations, to be resolved by an operator in
            the rescue workflow.
        independent_sagas: The ids of open independent sagas, which the rescue leaves alone.
        is_new: Whether this request has started the rescue; False if an earlier request has.
    """

    model_config = ConfigDict(frozen=True)

    saga_id: str
    decision: RescueDecision
    workflow_id: str = ""
    run_id: str = ""
    pending: tuple[str, ...] = ()
    unresolved_children: tuple[str, ...] = ()
    independent_sagas: tuple[str, ...] = ()
    is_new: bool = True

    @property
    def sentence(self) -> str:
        """The rescue as a sentence, without a full stop."""
        match self.decision:
            case RescueDecision.NOTHING_PENDING:
                action = "no compensation is pending, and nothing was started"
            case RescueDecision.CONTINUING:
                action = "the saga continues where it was interrupted, because its pivot is done or in doubt"
            case RescueDecision.COMPENSATING if not self.pending:
                action = f"{self.workflow_id} waits for an operator"
            case RescueDecision.COMPENSATING:
                action = f"{self.workflow_id} compensates {', '.join(self.pending)}"
        before = "" if self.is_new else "already rescued, "
        children = ", ".join(self.unresolved_children)
        unknown = f"; the compensations of these children are unknown: {children}" if children else ""
        others = ", ".join(self.independent_sagas)
        independent = f"; these independent sagas go on by themselves: {others}" if others else ""
        return f"{self.saga_id}: {before}{action}{unknown}{independent}"


async def rescue_saga(
    client: Client,
    saga_id: str,
    request: OperatorRequest,
    *,
    child_timeout: timedelta,
    terminate: bool = False,
) -> Rescue:
    """Rescues a saga, or finds the rescue of an earlier request.

    Args:
        client: A client for the namespace of the saga.
        saga_id: The id of a saga, rescued with all children; a child alone only while the root is open.
        request: The operator and the reason.
        child_timeout: The time in which open children have to compensate.
        terminate: Whether to terminate an open saga, and children with failing code.

    Raises:
        SagaNotFoundError: The server has no such saga.
        VerbRefusedError: The saga needs no rescue, or a child is still open.
    """
    saga_id = rescued_by(saga_id)
    fetcher = HistoryFetcher(client)
    try:
        record = await fetcher.fetch_family(saga_id)
    except SagaNotFoundError as error:
        return await _rescue_after_retention(client, fetcher, saga_id, request, error)
    if record.closure is None and terminate:
        record = await _terminate(client, fetcher, record, request)
    if was_reset_by_rescue(record):
        return _continuing(record.id, record.run_id, is_new=False)
    if record.closure is None:
        raise VerbRefusedError(record.id, VERB, _reason_of_open(record))
    await _refuse_child_of_closed_root(fetcher, record)
    if open_descendants(record):
        mandate = request if terminate else None
        record = await wait_for_children(client, fetcher, record, child_timeout, terminate_by=mandate)
    rescue = await _recover(client, fetcher, record, request)
    return rescue.model_copy(update={"independent_sagas": tuple(open_independent_sagas(record))})


async def _recover(
    client: Client, fetcher: HistoryFetcher, record: SagaRecord, request: OperatorRequest
) -> Rescue:
    """Compensates a closed saga, or continues the saga past the pivot."""
    rebuilt = rebuild_saga(record)
    if rebuilt.direction is RecoveryDirection.BACKWARD or _is_final(record):
        return await _compensate(client, fetcher, record, request)
    if rebuilt.lifecycle.has_compensated:
        raise VerbRefusedError(
            record.id,
            VERB,
            "the saga compensated after a reset, but the pivot of an earlier run is done or in doubt: decide "
            "manually which effects remain",
        )
    run_id, is_new = await reset_and_continue(client, fetcher, record, request)
    return _continuing(record.id, run_id, is_new=is_new)


async def _rescue_after_retention(
    client: Client, fetcher: HistoryFetcher, saga_id: str, request: OperatorRequest, error: SagaNotFoundError
) -> Rescue:
    """Finds the rescue of a saga that the server no longer keeps: a rescue can be stuck for that long."""
    rescues = await fetcher.fetch_rescues(saga_id)
    if not rescues:
        raise error
    await _continue_interrupted(client, fetcher, rescues, request)
    return await _existing_rescue(client, rescues[-1])


async def _terminate(
    client: Client, fetcher: HistoryFetcher, record: SagaRecord, request: OperatorRequest
) -> SagaRecord:
    """Terminates an open saga before the pivot; returns the record of the closed saga.

    Raises:
        VerbRefusedError: The pivot is done or in doubt, so that nothing could be compensated.
    """
    if rebuild_saga(record).direction is RecoveryDirection.FORWARD:
        raise VerbRefusedError(
            record.id,
            VERB,
            "the pivot is done or in doubt, and a terminated saga would continue with the same code: "
            "mend the code, and restart the workers",
        )
    await terminate_saga(client, record, request)
    return await fetcher.fetch_family(record.id)


def _reason_of_open(record: SagaRecord) -> str:
    is_forward = rebuild_saga(record).direction is RecoveryDirection.FORWARD
    if record.task_failure is not None:
        reason = (
            f"the workflow code fails ({record.task_failure.reason}): mend the code, and restart the workers"
        )
        return reason if is_forward else f"{reason}; or end and compensate the saga with {TERMINATE}"
    reason = "the saga is still running: only a saga that was terminated or timed out needs a rescue"
    if is_forward:
        return reason
    return (
        f"{reason}. Compensate the saga with `sagas compensate`, or without the saga's code with {TERMINATE}"
    )


async def _compensate(
    client: Client, fetcher: HistoryFetcher, record: SagaRecord, request: OperatorRequest
) -> Rescue:
    """Starts a rescue workflow for the compensations that no open rescue runs."""
    rebuilt, rescues = rebuild_saga(record), record.own_rescues
    await _continue_interrupted(client, fetcher, rescues, request)
    in_rescues = [pending_of(rescue) for rescue in rescues if not _is_completed(rescue)]
    addresses_in_rescues = {each.address for pending in in_rescues for each in flatten(pending.compensations)}
    children_in_rescues = {child for pending in in_rescues for child in pending.unresolved_children}
    pending = PendingCompensations(
        compensations=select(
            rebuilt.superseded if _is_final(record) else rebuilt.plan(),
            lambda address: address not in addresses_in_rescues,
        ),
        unresolved_children=tuple(
            child for child in rebuilt.ledger.unresolved_children() if child not in children_in_rescues
        ),
        on_stuck=rebuilt.ledger.on_stuck,
    )
    is_empty = not (pending.compensations or pending.unresolved_children)
    if rescues and (is_empty or has_missing_chunks(rescues[-1])):
        return await _existing_rescue(client, rescues[-1], pending)
    if is_empty:
        if _is_final(record):
            raise VerbRefusedError(record.id, VERB, "the saga has completed: its effects are final")
        return Rescue(saga_id=record.id, decision=RescueDecision.NOTHING_PENDING)
    next_id = rescue_id(record.id, len(record.rescues) + 1)
    rescue_request = RescueRequest(
        saga_id=record.id,
        run_id=record.run_id,
        compensations=pending.compensations,
        unresolved_children=pending.unresolved_children,
        on_stuck=pending.on_stuck,
        by=request.by,
        because=request.because,
        roles=request.roles,
    )
    run_id = await start_rescue(client, next_id, rescue_request, task_queue=record.task_queue)
    if run_id is None:
        return await _existing_rescue(client, await fetcher.fetch_saga(next_id), pending)
    return _compensating(SagaRecord(next_id, run_id=run_id), pending, is_new=True)


async def _continue_interrupted(
    client: Client, fetcher: HistoryFetcher, rescues: list[SagaRecord], request: OperatorRequest
) -> None:
    """Continues interrupted rescue workflows."""
    for rescue in rescues:
        if rescue.closure is not None and not _is_completed(rescue):
            rescue.run_id, _ = await reset_and_continue(client, fetcher, rescue, request)


async def _existing_rescue(
    client: Client, rescue: SagaRecord, pending: PendingCompensations | None = None
) -> Rescue:
    """The rescue that an earlier request started, after sending chunks that are missing there."""
    if pending is not None and has_missing_chunks(rescue):
        await send_missing_chunks(client, rescue, pending)
    else:
        pending = pending_of(rescue)
    return _compensating(rescue, pending, is_new=False)


def _is_final(record: SagaRecord) -> bool:
    """Whether the effects of a saga are final, or the parent runs their compensations."""
    return _is_completed(record) or record.has_completed


def _is_completed(record: SagaRecord) -> bool:
    return record.closure is not None and record.closure.is_completed


async def _refuse_child_of_closed_root(fetcher: HistoryFetcher, record: SagaRecord) -> None:
    """Refuses a child of a closed root: the rescue of the root covers the child."""
    root, is_open, parent = record.id, True, record.parent
    while parent:
        root = parent
        try:
            ancestor = await fetcher.fetch_saga(parent)
        except SagaNotFoundError:
            is_open = False
            break
        is_open, parent = ancestor.closure is None, ancestor.parent
    if not is_open:
        raise VerbRefusedError(record.id, VERB, f"the saga is a child; rescue its root {root!r} instead")


def _compensating(rescue: SagaRecord, pending: PendingCompensations, *, is_new: bool) -> Rescue:
    return Rescue(
        saga_id=rescued_by(rescue.id),
        decision=RescueDecision.COMPENSATING,
        workflow_id=rescue.id,
        run_id=rescue.run_id,
        pending=tuple(compensation.address for compensation in flatten(pending.compensations)),
        unresolved_children=pending.unresolved_children,
        is_new=is_new,
    )


def _continuing(saga_id: str, run_id: str, *, is_new: bool) -> Rescue:
    return Rescue(
        saga_id=saga_id, decision=RescueDecision.CONTINUING, workflow_id=saga_id, run_id=run_id, is_new=is_new
    )
