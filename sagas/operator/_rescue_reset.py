"""Continues interrupted sagas past the pivot: resets the workflow to the end of the history."""

import asyncio
from itertools import count
from uuid import uuid4

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from .._errors import VerbRefusedError
from .._history.fetcher import HistoryFetcher
from .._history.saga_record import ChildRecord, SagaRecord, manually_resolved
from .._wire.operator_requests import OperatorRequest
from .._wire.rescue import RESCUE_TYPE, RescueRequest
from ._rescue_request import VERB

RESET_REASON = "sagas rescue"
"""The prefix of the reason of a reset by a rescue."""
RESET_TIMEOUT, POLL_INTERVAL = 10.0, 0.1
"""Seconds in which another operator's reset must appear, and between two checks."""


def was_reset_by_rescue(record: SagaRecord) -> bool:
    """Whether the current run of an open saga comes from a rescue."""
    reason = record.resets[-1].reason if record.resets else ""
    return record.closure is None and reason.startswith(RESET_REASON)


async def reset_and_continue(
    client: Client, fetcher: HistoryFetcher, record: SagaRecord, request: OperatorRequest
) -> tuple[str, bool]:
    """Resets a closed workflow to the latest possible event; the idempotency keys of all steps stay the same.

    An open independent saga reports to the new run, and is not started again.

    The server executes every reset request, even with a repeated request id. The start of a workflow with a
    fixed id serves as a lock: only the operator with a successful start may send the reset. The next id can
    be locked if the operator's process ends before the reset.

    Returns:
        The new run, and whether this call has started the run.

    Raises:
        VerbRefusedError: The reset would start an open independent saga again.
    """
    _refuse_open_independent_sagas(record)
    for attempt in count(1):
        try:
            await client.start_workflow(
                RESCUE_TYPE,
                RescueRequest(saga_id=record.id, by=request.by, because=request.because, roles=request.roles),
                id=f"{record.id}~forward-{record.run_id}-{attempt}",
                task_queue=record.task_queue,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                static_summary=f"{record.id} goes on",
            )
        except WorkflowAlreadyStartedError:
            if (run_id := await _wait_for_reset(fetcher, record)) is not None:
                return run_id, False
            continue
        current = await fetcher.current_run(record.id)
        if current.run_id != record.run_id:
            return current.run_id, False
        return await _reset(client, record, request), True
    raise AssertionError("`count` has no end")


async def _reset(client: Client, record: SagaRecord, request: OperatorRequest) -> str:
    response = await client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=record.id, run_id=record.run_id),
            reason=f"{RESET_REASON} by {request.by}: {request.because}",
            workflow_task_finish_event_id=_reset_point(record),
            request_id=str(uuid4()),
        )
    )
    return response.run_id


def _reset_point(record: SagaRecord) -> int:
    """The latest event for a reset; the start of a pivot child or independent saga without a received end.

    A closed child or independent saga does not report to a new run of the parent, and is started again: the
    steps have the same ids and idempotency keys, and their participants repeat their answers. The reset keeps
    a manually completed pivot child, as no participant knows the key of manual work. A child of an earlier
    run, before a continue-as-new, is out of reach for a reset.
    """
    latest = _start_of_unreported(record) or record.reset_point
    resolved = manually_resolved(record)
    for item in record.scheduled[record.last_run_index :]:
        if not isinstance(item, ChildRecord) or not item.is_pivot or item.address in resolved:
            continue
        if item.closure is None or item.closure.pending is None:
            return min(latest, item.workflow_task_completed_event_id)
    return latest


def _start_of_unreported(record: SagaRecord) -> int | None:
    """The workflow task of the first closed independent saga whose end the saga has not received."""
    tasks = (
        saga.workflow_task_completed_event_id
        for saga in record.independent_sagas
        if saga.closure is None and not saga.has_start_failed and not _is_open(saga)
    )
    return min(tasks, default=None)


def _refuse_open_independent_sagas(record: SagaRecord) -> None:
    start = _start_of_unreported(record)
    for saga in record.independent_sagas:
        if start is not None and saga.workflow_task_completed_event_id >= start and _is_open(saga):
            reason = f"independent saga {saga.id!r} is open: repeat the rescue when that saga has ended"
            raise VerbRefusedError(record.id, VERB, reason)


def _is_open(saga: ChildRecord) -> bool:
    return saga.record is not None and saga.record.closure is None


async def _wait_for_reset(fetcher: HistoryFetcher, record: SagaRecord) -> str | None:
    """The run after another operator's reset; None after the timeout."""
    for _ in range(int(RESET_TIMEOUT / POLL_INTERVAL)):
        current = await fetcher.current_run(record.id)
        if current.run_id != record.run_id:
            return current.run_id
        await asyncio.sleep(POLL_INTERVAL)
    return None
