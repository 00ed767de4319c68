"""Has a saga go on that was cut off where there is no way back: the same workflow, from where it was."""

import asyncio
from itertools import count
from uuid import uuid4

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from .._history.fetcher import HistoryFetcher
from .._history.saga_record import ChildRecord, SagaRecord, by_hand
from .._wire.operator_requests import OperatorRequest
from .._wire.rescue import RescueRequest
from .._workflow.rescue_workflow import RescueSaga

RESET_REASON = "sagas rescue"
"""Begins the reason of a reset, by which it is known again."""
TURN, LOOK = 10.0, 0.1
"""Seconds in which who may ask for a reset has to do it, and between two looks at that."""


def was_reset_by_rescue(record: SagaRecord) -> bool:
    """Whether a saga runs because it was rescued before."""
    reason = record.resets[-1][1] if record.resets else ""
    return record.close is None and reason.startswith(RESET_REASON)


async def reset_and_continue(
    client: Client, archive: HistoryFetcher, record: SagaRecord, note: OperatorRequest
) -> tuple[str, bool]:
    """Has the server go back to where the saga was cut off; the keys of its steps stay the same.

    The server carries out every reset that it is asked for, also with the same request id. So who may ask is
    decided by who starts a workflow of a certain id; should that one die in between, somebody else may.

    Returns:
        The run in which it goes on, and whether it was this very call that has started it.
    """
    for turn in count(1):
        try:
            await client.start_workflow(
                RescueSaga.run,
                RescueRequest(saga=record.id, by=note.by, because=note.because, roles=note.roles),
                id=f"{record.id}~forward-{record.run_id}-{turn}",
                task_queue=record.task_queue,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                static_summary=f"{record.id} goes on",
            )
        except WorkflowAlreadyStartedError:
            if (run_id := await _reset_by_another(archive, record)) is not None:
                return run_id, False
            continue
        run_id, _ = await archive.execution(record.id)
        if run_id != record.run_id:
            return run_id, False
        return await _reset(client, record, note), True
    raise AssertionError  # the count has no end


async def _reset(client: Client, record: SagaRecord, note: OperatorRequest) -> str:
    request = ResetWorkflowExecutionRequest(
        namespace=client.namespace,
        workflow_execution=WorkflowExecution(workflow_id=record.id, run_id=record.run_id),
        reason=f"{RESET_REASON} by {note.by}: {note.because}",
        workflow_task_finish_event_id=_reset_point(record),
        request_id=str(uuid4()),
    )
    answer = await client.workflow_service.reset_workflow_execution(request)
    return answer.run_id


def _reset_point(record: SagaRecord) -> int:
    """As late as can be; but a child that has ended does not tell a new run of its parent.

    So where the pivot is a child, and the saga has not heard that it is done, the child is asked for again:
    under the same id its steps have the same keys, and their participants answer what they have done.
    One that a person has done by hand is not: that has no key. Nor is one that is older than the last run.
    """
    settled = by_hand(record)
    for child in record.lines[record.first :]:
        if not isinstance(child, ChildRecord) or not child.is_pivot or child.address in settled:
            continue
        if child.close is None or not child.close.is_a_word:
            return child.asked_in
    return record.reset_point


async def _reset_by_another(archive: HistoryFetcher, record: SagaRecord) -> str | None:
    """The run that somebody else has started; None if they do not."""
    for _ in range(int(TURN / LOOK)):
        run_id, _ = await archive.execution(record.id)
        if run_id != record.run_id:
            return run_id
        await asyncio.sleep(LOOK)
    return None
