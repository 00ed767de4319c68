"""Rescues a saga that was cut off: what it owes is read from its history, and made up for; or it goes on."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict
from temporalio.client import Client

from .._core.compensation import flatten, select
from .._core.ids import rescue_id, rescued_by
from .._errors import SagaNotFoundError, VerbRefusedError
from .._history.closure import CloseStatus
from .._history.fetch import HistoryFetcher
from .._history.ledger_rebuild import RecoveryDirection, rebuild_saga
from .._history.saga_record import SagaRecord
from .._wire.operator_requests import OperatorNote
from .._wire.rescue import PendingCompensations, RescueRequest
from ._rescue_children import under_way, when_children_have_ended
from ._rescue_request import VERB, is_waiting, pending_of, send_parts, start_rescue
from ._reset import reset_and_continue, was_reset_by_rescue


class RescueDecision(StrEnum):
    """What a rescue comes to."""

    COMPENSATING = "compensating"
    """What was done is made up for, by a workflow of its own."""
    GOING_ON = "going on"
    """The pivot is done, or may be: the saga itself goes on from where it was cut off."""
    NOTHING_OWED = "nothing owed"
    """There is nothing to make up for; nothing was started."""


class Rescue(BaseModel):
    """What was done for a saga that had been cut off.

    Args:
        saga: Its id.
        course: What is done.
        workflow_id: The workflow that does it, where there is one.
        run_id: Its run.
        owed: What it makes up for, the first to be done first.
        unaccounted: Children of which nobody can tell what they owe; a person has to look at them.
        is_new: Whether this very request has started it.
    """

    model_config = ConfigDict(frozen=True)

    saga: str
    course: RescueDecision
    workflow_id: str = ""
    run_id: str = ""
    owed: tuple[str, ...] = ()
    unaccounted: tuple[str, ...] = ()
    is_new: bool = True

    @property
    def sentence(self) -> str:
        """What it comes to, for people."""
        before = "" if self.is_new else "was rescued before: "
        match self.course:
            case RescueDecision.NOTHING_OWED:
                what = "nothing is owed, so nothing was started"
            case RescueDecision.GOING_ON:
                what = "it goes on from where it was cut off, as its pivot is done, or may be"
            case RescueDecision.COMPENSATING if not self.owed:
                what = f"{self.workflow_id} waits for a person"
            case RescueDecision.COMPENSATING:
                what = f"{self.workflow_id} makes up for {', '.join(self.owed)}"
        lost = "; nobody can tell what these children owe: " + ", ".join(self.unaccounted)
        return f"{self.saga}: {before}{what}{lost if self.unaccounted else ''}"


async def rescue_saga(client: Client, saga_id: str, note: OperatorNote, *, patience: float) -> Rescue:
    """Rescues a saga; asked twice, it finds what was done the first time.

    Args:
        client: Connected to where the saga has run.
        saga_id: A saga; its children are rescued with it. A child alone only while its parent waits for that.
        note: Who asks for it, and why.
        patience: Seconds for the children that are still making up for their own steps.

    Raises:
        SagaNotFoundError: There is no such saga.
        VerbRefusedError: It can help itself, or a child of it is not done yet.
    """
    saga_id = rescued_by(saga_id)
    archive = HistoryFetcher(client)
    try:
        record = await archive.family(saga_id)
    except SagaNotFoundError:
        # A rescue may be stuck for longer than the server keeps its saga.
        if not (rescues := await archive.rescues_of(saga_id)):
            raise
        await _resume(client, archive, rescues, note)
        return await _known(client, rescues[-1])
    if was_reset_by_rescue(record):
        return _going_on(record.id, record.run_id, is_new=False)
    if record.close is None:
        raise VerbRefusedError(record.id, VERB, _why_not(record))
    await _refuse_child_of_closed_parent(archive, record)
    if under_way(record):
        record = await when_children_have_ended(client, archive, record, patience)
    rebuilt = rebuild_saga(record)
    if rebuilt.way is RecoveryDirection.BACK or _is_over(record):
        return await _make_up(client, archive, record, note)
    if rebuilt.lifecycle.has_compensated:
        raise VerbRefusedError(
            record.id,
            VERB,
            "it has turned back after a reset, but its pivot is done, or may be, by a run before that: find "
            "out by hand what has to stay",
        )
    run_id, is_new = await reset_and_continue(client, archive, record, note)
    return _going_on(record.id, run_id, is_new=is_new)


def _why_not(record: SagaRecord) -> str:
    """Why a saga that is open is not rescued."""
    if record.fault is not None:
        return (
            f"its code fails ({record.fault[1]}): mend it, its workers try it again; or terminate it, and "
            "rescue it then"
        )
    return "it is still running and can help itself; rescue it when it was terminated or has timed out"


async def _make_up(client: Client, archive: HistoryFetcher, record: SagaRecord, note: OperatorNote) -> Rescue:
    """Has a workflow make up for what no other one does yet, unless somebody else was faster."""
    rebuilt, rescues = rebuild_saga(record), record.own_rescues
    await _resume(client, archive, rescues, note)
    under_way = [pending_of(rescue) for rescue in rescues if not _is_done(rescue)]
    taken = {each.address for debt in under_way for each in flatten(debt.owed)}
    lost = {child for debt in under_way for child in debt.unaccounted}
    debt = PendingCompensations(
        owed=select(
            rebuilt.left if _is_over(record) else rebuilt.plan(),
            lambda address: address not in taken,
        ),
        unaccounted=tuple(child for child in rebuilt.ledger.unresolved_children() if child not in lost),
    )
    if rescues and (debt == PendingCompensations() or is_waiting(rescues[-1])):
        return await _known(client, rescues[-1], debt)
    if debt == PendingCompensations():
        if _is_over(record):
            raise VerbRefusedError(record.id, VERB, "it has completed: what it did is meant to stay")
        return Rescue(saga=record.id, course=RescueDecision.NOTHING_OWED)
    next_id = rescue_id(record.id, len(record.rescues) + 1)
    request = RescueRequest(
        saga=record.id,
        run_id=record.run_id,
        owed=debt.owed,
        unaccounted=debt.unaccounted,
        by=note.by,
        because=note.because,
        roles=note.roles,
    )
    run_id = await start_rescue(client, next_id, request, task_queue=record.task_queue)
    if run_id is None:
        return await _known(client, await archive.record(next_id), debt)
    return _making_up(record.id, next_id, run_id, debt, is_new=True)


async def _resume(
    client: Client, archive: HistoryFetcher, rescues: list[SagaRecord], note: OperatorNote
) -> None:
    """Has those go on that were cut off themselves."""
    for rescue in rescues:
        if rescue.close is not None and not _is_done(rescue):
            rescue.run_id, _ = await reset_and_continue(client, archive, rescue, note)


async def _known(client: Client, rescue: SagaRecord, debt: PendingCompensations | None = None) -> Rescue:
    """The rescue that was started before; it gets what it was not sent."""
    if debt is not None and is_waiting(rescue):
        await send_parts(client, rescue, debt)
    else:
        debt = pending_of(rescue)
    return _making_up(rescued_by(rescue.id), rescue.id, rescue.run_id, debt, is_new=False)


def _is_over(record: SagaRecord) -> bool:
    """Whether what it did is meant to stay, or is its parent's to make up for."""
    return _is_done(record) or record.has_completed


def _is_done(record: SagaRecord) -> bool:
    return record.close is not None and record.close.how is CloseStatus.COMPLETED


def _making_up(
    saga_id: str, workflow_id: str, run_id: str, debt: PendingCompensations, *, is_new: bool
) -> Rescue:
    return Rescue(
        saga=saga_id,
        course=RescueDecision.COMPENSATING,
        workflow_id=workflow_id,
        run_id=run_id,
        owed=tuple(compensation.address for compensation in flatten(debt.owed)),
        unaccounted=debt.unaccounted,
        is_new=is_new,
    )


async def _refuse_child_of_closed_parent(archive: HistoryFetcher, record: SagaRecord) -> None:
    """A child may be rescued alone while its parent waits for that; otherwise it is rescued with its root."""
    root, is_open, parent = record.id, True, record.parent
    while parent:
        root = parent
        try:
            above = await archive.record(parent)
        except SagaNotFoundError:
            is_open = False
            break
        is_open, parent = above.close is None, above.parent
    if not is_open:
        raise VerbRefusedError(record.id, VERB, f"it is a child, rescued together with its root {root!r}")


def _going_on(saga_id: str, run_id: str, *, is_new: bool) -> Rescue:
    return Rescue(
        saga=saga_id, course=RescueDecision.GOING_ON, workflow_id=saga_id, run_id=run_id, is_new=is_new
    )
