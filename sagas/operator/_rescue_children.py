"""Waits until the open children of an interrupted saga have compensated."""

import asyncio
from collections.abc import Iterable, Iterator
from datetime import timedelta

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from .._core.ids import rescued_by
from .._core.outcome import Outcome
from .._core.purpose import Purpose
from .._core.status import Status
from .._errors import VerbRefusedError
from .._history.fetcher import HistoryFetcher
from .._history.ledger_rebuild import RecoveryDirection, rebuild_saga
from .._history.saga_record import SagaRecord, manually_resolved
from .._history.unresolved_children import unresolved_children
from .._wire.operator_requests import OperatorRequest
from ._rescue_request import VERB

RETRIED_UNTIL_DONE = (Purpose.COMPENSATION, Purpose.PIVOT, Purpose.RETRIABLE)
"""The purposes of activities that can make a saga stuck."""


def open_descendants(record: SagaRecord) -> dict[str, SagaRecord]:
    """The open children at any depth, and their open rescues, by workflow id."""
    found: dict[str, SagaRecord] = {}
    for child in (child for each in (record, *record.superseded_runs) for child in each.children):
        if child.record is None:
            continue
        sagas = (child.record, *child.record.rescues)
        found |= {each.id: each for each in sagas if each.closure is None} | open_descendants(child.record)
    return found


def open_independent_sagas(record: SagaRecord) -> Iterator[str]:
    """The ids of the open independent sagas of a saga and of all children; a rescue leaves these alone."""
    for run in (record, *record.superseded_runs):
        for saga in run.independent_sagas:
            if saga.record is not None and saga.record.closure is None:
                yield saga.id
        for child in run.children:
            if child.record is not None:
                yield from open_independent_sagas(child.record)


async def wait_for_children(
    client: Client,
    fetcher: HistoryFetcher,
    record: SagaRecord,
    child_timeout: timedelta,
    *,
    terminate_by: OperatorRequest | None = None,
) -> SagaRecord:
    """Cancels the open children of a closed saga, and waits until all have compensated.

    Args:
        client: A client for the namespace of the saga.
        fetcher: Fetches the saga with the children.
        record: The saga.
        child_timeout: The time in which the children have to compensate.
        terminate_by: The operator and the reason for the termination of children with failing code; without
            an operator, such a child is refused.

    Returns:
        The record of the saga after the end of the children.

    Raises:
        VerbRefusedError: A child needs an operator, or has not ended within the timeout.
    """
    found = dict[str, SagaRecord]()
    try:
        async with asyncio.timeout(child_timeout.total_seconds()):
            while found := open_descendants(record):
                if terminate_by is not None:
                    found = await _terminate_failing(client, found, terminate_by)
                _refuse_blocked(record, found.values())
                for child_id in found:
                    handle = client.get_workflow_handle(child_id)
                    if rescued_by(child_id) == child_id:
                        await _cancel(handle)
                    await _wait(handle)
                record = await fetcher.fetch_family(record.id)
    except TimeoutError:
        found = open_descendants(await fetcher.fetch_family(record.id)) or found
        _refuse_blocked(record, found.values())
        raise VerbRefusedError(
            record.id,
            VERB,
            f"child {next(iter(found))!r} has not ended within {child_timeout.total_seconds():g} s; check "
            "the child, and repeat the rescue when the child has ended",
        ) from None
    return record


async def terminate_saga(client: Client, record: SagaRecord, request: OperatorRequest) -> None:
    """Terminates a run of a saga; the reason of the termination names the operator."""
    handle = client.get_workflow_handle(record.id, run_id=record.run_id)
    try:
        await handle.terminate(reason=f"sagas rescue --terminate by {request.by}: {request.because}")
    except RPCError as error:
        # The workflow may have closed after its history was read.
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise


async def _terminate_failing(
    client: Client, children: dict[str, SagaRecord], request: OperatorRequest
) -> dict[str, SagaRecord]:
    """Terminates the children with failing code before the pivot; returns the other children.

    A child whose own child fails is terminated as well: the child could not compensate without its child.
    """
    others = dict[str, SagaRecord]()
    for child_id, child in children.items():
        is_rescue = rescued_by(child_id) != child_id
        is_forward = rebuild_saga(child).direction is RecoveryDirection.FORWARD
        if not _has_failing_code(child) or is_rescue or is_forward:
            others[child_id] = child
        else:
            await terminate_saga(client, child, request)
    return others


def _has_failing_code(record: SagaRecord) -> bool:
    return any(each.task_failure is not None for each in (record, *open_descendants(record).values()))


def _refuse_blocked(record: SagaRecord, children: Iterable[SagaRecord]) -> None:
    """Refuses a rescue while a child cannot end without an operator."""
    for child in children:
        is_busy = any(activity.is_under_way for activity in child.activities)
        if child.task_failure is not None:
            reason = (
                f"the workflow code of child {child.id!r} fails ({child.task_failure.reason}): "
                "mend the code, or add `--terminate`"
            )
        elif child.status == Status.STUCK and not child.has_pending_workflow_task and not is_busy:
            verbs = (f"retry {child.id}", *_resolving_verbs(child))
            commands = " or ".join(f"`sagas {verb}`" for verb in verbs)
            reason = f"child {child.id!r} is stuck: resolve the child with {commands}, each with `--because`"
        else:
            continue
        raise VerbRefusedError(record.id, VERB, f"{reason}; repeat the rescue when the child has ended")


def _resolving_verbs(child: SagaRecord) -> Iterator[str]:
    """The verbs that can resolve a stuck child."""
    entries, resolved = rebuild_saga(child).ledger.entries, manually_resolved(child)
    last = {each.address: each for each in child.activities if each.header.purpose in RETRIED_UNTIL_DONE}
    for address, activity in last.items():
        purpose = activity.header.purpose
        if activity.is_done or address in resolved:
            continue
        if purpose is Purpose.PIVOT and entries[address].outcome is not Outcome.UNKNOWN:
            continue
        if purpose is not Purpose.RETRIABLE:
            yield f"skip {child.id} {address}"
        yield f"complete {child.id} {address}"
    for address in unresolved_children(child):
        yield from (f"{verb} {child.id} {address}" for verb in ("skip", "complete"))


async def _cancel(handle: WorkflowHandle[object, object]) -> None:
    try:
        await handle.cancel()
    except RPCError as error:
        # The workflow may have closed after its history was read.
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise


async def _wait(handle: WorkflowHandle[object, object]) -> None:
    try:
        await handle.result()
    except WorkflowFailureError:
        return
