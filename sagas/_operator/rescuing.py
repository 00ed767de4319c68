"""Rescues a saga that was cut off: what it owes is read from its history, and made up for; or it goes on."""

import asyncio
from enum import StrEnum

from pydantic import BaseModel, ConfigDict
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from .._errors import VerbRefusedError
from .._history.archive import Archive
from .._history.close import How
from .._history.rebuild import Way, rebuild
from .._history.record import Record
from .._keys import RESCUE
from .._ledger import leaves
from .._scope.rescue import RescueRequest, RescueSaga
from .._verbs import OperatorNote
from .reset import go_on, is_going_on

VERB = "rescue"


class Course(StrEnum):
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
    course: Course
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
            case Course.NOTHING_OWED:
                what = "nothing is owed, so nothing was started"
            case Course.GOING_ON:
                what = "it goes on from where it was cut off, as its pivot is done, or may be"
            case Course.COMPENSATING:
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
    saga_id = saga_id.removesuffix(RESCUE)
    archive = Archive(client)
    if (rescue := await archive.rescue_of(saga_id)) is not None:
        if rescue.close is not None and rescue.close.how is not How.COMPLETED:
            rescue.run_id, _ = await go_on(client, archive, rescue, note)
        return _known(saga_id, rescue)
    record = await archive.family(saga_id)
    if is_going_on(record):
        return _going_on(record.id, record.run_id, is_new=False)
    _refuse_unless_cut_off(record)
    await _refuse_child_of_closed_parent(archive, saga_id)
    if _under_way(record):
        record = await _when_children_have_ended(client, archive, record, patience)
    if rebuild(record).way is Way.FORWARD:
        run_id, is_new = await go_on(client, archive, record, note)
        return _going_on(record.id, run_id, is_new=is_new)
    return await _make_up(client, archive, record, note)


async def _make_up(client: Client, archive: Archive, record: Record, note: OperatorNote) -> Rescue:
    """Starts the workflow that makes up for what is owed, unless somebody else was faster."""
    ledger = rebuild(record).ledger
    owed, unaccounted = ledger.plan(), ledger.lost()
    if not owed:
        return Rescue(saga=record.id, course=Course.NOTHING_OWED, unaccounted=unaccounted)
    request = RescueRequest(
        saga=record.id,
        owed=owed,
        unaccounted=unaccounted,
        by=note.by,
        because=note.because,
        roles=note.roles,
    )
    try:
        handle: WorkflowHandle[RescueSaga, object] = await client.start_workflow(
            RescueSaga.run,
            request,
            id=f"{record.id}{RESCUE}",
            task_queue=record.task_queue,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            static_summary=f"rescue of {record.id}",
        )
    except WorkflowAlreadyStartedError:
        return _known(record.id, await archive.record(f"{record.id}{RESCUE}"))
    return Rescue(
        saga=record.id,
        course=Course.COMPENSATING,
        workflow_id=handle.id,
        run_id=handle.first_execution_run_id or "",
        owed=tuple(compensation.address for compensation in leaves(owed)),
        unaccounted=unaccounted,
    )


def _known(saga_id: str, record: Record) -> Rescue:
    """The rescue that was started before, with what it was told to make up for."""
    request = RescueRequest.model_validate(record.request)
    return Rescue(
        saga=saga_id,
        course=Course.COMPENSATING,
        workflow_id=record.id,
        run_id=record.run_id,
        owed=tuple(compensation.address for compensation in leaves(request.owed)),
        unaccounted=request.unaccounted,
        is_new=False,
    )


async def _refuse_child_of_closed_parent(archive: Archive, saga_id: str) -> None:
    """A child may be rescued alone while its parent waits for that; otherwise it is rescued with its root."""
    root, is_child, _ = saga_id.partition("/")
    if is_child and not (await archive.execution(root))[1]:
        raise VerbRefusedError(saga_id, VERB, f"it is a child, rescued together with its root {root!r}")


def _refuse_unless_cut_off(record: Record) -> None:
    if record.close is None:
        raise VerbRefusedError(
            record.id,
            VERB,
            "it is still running and can help itself; rescue it when it was terminated or has timed out",
        )
    if record.close.how is How.COMPLETED or record.has_completed:
        raise VerbRefusedError(record.id, VERB, "it has completed: what it did is meant to stay")


def _under_way(record: Record) -> tuple[str, ...]:
    """The children, and theirs, that have not ended."""
    running: list[str] = []
    for child in record.children:
        if child.record is None:
            continue
        if child.record.close is None:
            running.append(child.id)
        if child.rescue is not None and child.rescue.close is None:
            running.append(child.rescue.id)
        running += _under_way(child.record)
    return tuple(running)


async def _when_children_have_ended(
    client: Client, archive: Archive, record: Record, patience: float
) -> Record:
    """Children hear of the end of their parent as a cancel, and make up for their own steps."""
    try:
        async with asyncio.timeout(patience):
            while running := _under_way(record):
                for child_id in running:
                    handle = client.get_workflow_handle(child_id)
                    if not child_id.endswith(RESCUE):
                        await handle.cancel()
                    await _end_of(handle)
                record = await archive.family(record.id)
    except TimeoutError:
        raise VerbRefusedError(
            record.id,
            VERB,
            f"its child {_under_way(record)[0]!r} has not ended within {patience:g} s of its parent's end; "
            "see what holds it up, and ask again when it has ended",
        ) from None
    return record


async def _end_of(handle: WorkflowHandle[object, object]) -> None:
    try:
        await handle.result()
    except WorkflowFailureError:
        return


def _going_on(saga_id: str, run_id: str, *, is_new: bool) -> Rescue:
    return Rescue(saga=saga_id, course=Course.GOING_ON, workflow_id=saga_id, run_id=run_id, is_new=is_new)
