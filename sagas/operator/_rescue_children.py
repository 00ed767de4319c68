"""The children of a saga that was cut off: they make up for their own steps before it is rescued."""

import asyncio
from collections.abc import Iterable, Iterator

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from .._core.ids import rescued_by
from .._core.outcome import Outcome
from .._core.purpose import Purpose
from .._core.status import Status
from .._errors import VerbRefusedError
from .._history.fetcher import HistoryFetcher
from .._history.ledger_rebuild import rebuild_saga
from .._history.saga_record import SagaRecord, by_hand
from .._history.unresolved_children import unresolved_children
from ._rescue_request import VERB

INSISTED_ON = (Purpose.COMPENSATION, Purpose.PIVOT, Purpose.RETRIABLE)
"""What makes a saga stuck that keeps failing."""


def under_way(record: SagaRecord) -> dict[str, SagaRecord]:
    """The children, theirs, and their rescues, that have not ended."""
    running: dict[str, SagaRecord] = {}
    for child in (child for each in (record, *record.bases) for child in each.children):
        if child.record is None:
            continue
        both = (child.record, *child.record.rescues)
        running |= {each.id: each for each in both if each.close is None} | under_way(child.record)
    return running


async def when_children_have_ended(
    client: Client, archive: HistoryFetcher, record: SagaRecord, patience: float
) -> SagaRecord:
    """Children hear of the end of their parent as a cancel, and make up for their own steps."""
    running = dict[str, SagaRecord]()
    try:
        async with asyncio.timeout(patience):
            while running := under_way(record):
                _refuse_to_wait_for(record, running.values())
                for child_id in running:
                    handle = client.get_workflow_handle(child_id)
                    if rescued_by(child_id) == child_id:
                        await _cancel(handle)
                    await _end_of(handle)
                record = await archive.family(record.id)
    except TimeoutError:
        running = under_way(await archive.family(record.id)) or running
        _refuse_to_wait_for(record, running.values())
        raise VerbRefusedError(
            record.id,
            VERB,
            f"its child {next(iter(running))!r} has not ended within {patience:g} s of its parent's end; "
            "see what holds it up, and ask again when it has ended",
        ) from None
    return record


def _refuse_to_wait_for(record: SagaRecord, running: Iterable[SagaRecord]) -> None:
    """A child that only a person can help is not waited for."""
    for child in running:
        is_tried = any(effort.verdict.outcome is Outcome.STARTED for effort in child.efforts)
        if child.fault is not None:
            why = f"the code of its child {child.id!r} fails ({child.fault[1]}): mend it, or terminate it"
        elif child.status == Status.STUCK and not child.has_news and not is_tried:
            asked = " or ".join(f"`sagas {each}`" for each in (f"retry {child.id}", *_settling(child)))
            why = f"its child {child.id!r} is stuck: see to it by {asked}, with `--because`"
        else:
            continue
        raise VerbRefusedError(record.id, VERB, f"{why}; ask again when it has ended")


def _settling(child: SagaRecord) -> Iterator[str]:
    """What else can be asked of a child that is stuck."""
    entries, settled = rebuild_saga(child).ledger.entries, by_hand(child)
    last = {effort.address: effort for effort in child.efforts if effort.mark.purpose in INSISTED_ON}
    for address, effort in last.items():
        if effort.verdict.outcome is Outcome.DONE or address in settled:
            continue
        if effort.mark.purpose is Purpose.PIVOT and entries[address].outcome is not Outcome.UNKNOWN:
            continue
        if effort.mark.purpose is not Purpose.RETRIABLE:
            yield f"skip {child.id} {address}"
        yield f"complete {child.id} {address}"
    for address in unresolved_children(child):
        yield from (f"{verb} {child.id} {address}" for verb in ("skip", "complete"))


async def _cancel(handle: WorkflowHandle[object, object]) -> None:
    try:
        await handle.cancel()
    except RPCError as error:
        # It may have ended since it was looked at.
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise


async def _end_of(handle: WorkflowHandle[object, object]) -> None:
    try:
        await handle.result()
    except WorkflowFailureError:
        return
