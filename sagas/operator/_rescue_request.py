"""What a rescue is asked for: sent to its workflow, at once or in parts, and read again from its history."""

from collections.abc import Generator
from contextlib import contextmanager

from temporalio.client import Client
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from .._errors import VerbRefusedError
from .._execution.activity_call import LARGEST_ARGUMENTS
from .._history.saga_record import SagaRecord
from .._wire.chunked_text import ChunkAssembler, split
from .._wire.rescue import PART, PendingCompensations, RescueRequest
from .._workflow.rescue_workflow import RescueSaga

VERB = "rescue"


def pending_of(rescue: SagaRecord) -> PendingCompensations:
    """What a rescue makes up for; nothing yet where not all of it has arrived."""
    request = RescueRequest.model_validate(rescue.request)
    whole = _arrived(rescue).whole
    return request.debt if whole is None else PendingCompensations.model_validate_json(whole)


def is_waiting(rescue: SagaRecord) -> bool:
    """Whether not all of what a rescue makes up for has arrived."""
    request = RescueRequest.model_validate(rescue.request)
    return request.is_in_parts and _arrived(rescue).whole is None


async def start_rescue(
    client: Client, rescue_id: str, request: RescueRequest, *, task_queue: str
) -> str | None:
    """Starts a rescue, and sends it all that it needs; its run, or None if there is one already."""
    debt = request.debt
    if len(client.data_converter.payload_converter.to_payload(request).data) > LARGEST_ARGUMENTS:
        request = request.model_copy(update={"owed": (), "unaccounted": (), "is_in_parts": True})
    with _sizes_told(request.saga):
        try:
            handle = await client.start_workflow(
                RescueSaga.run,
                request,
                id=rescue_id,
                task_queue=task_queue,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                static_summary=f"rescue of {request.saga}",
            )
        except WorkflowAlreadyStartedError:
            return None
    if request.is_in_parts:
        await send_parts(client, SagaRecord(rescue_id), debt)
    return handle.first_execution_run_id or ""


async def send_parts(client: Client, rescue: SagaRecord, debt: PendingCompensations) -> None:
    """Sends what has not arrived; that twice does no harm, nor that somebody else was faster."""
    handle = client.get_workflow_handle(rescue.id)
    for part in _arrived(rescue).missing(split(debt.model_dump_json())):
        with _sizes_told(rescue.id):
            try:
                await handle.signal(PART, part)
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
                return


def _arrived(rescue: SagaRecord) -> ChunkAssembler:
    return ChunkAssembler().add_those_in(rescue.parts)


@contextmanager
def _sizes_told(saga_id: str) -> Generator[None]:
    """Says in a sentence that a server, or a proxy before it, takes less at once than Temporal does."""
    try:
        yield
    except RPCError as error:
        if error.status not in (RPCStatusCode.INVALID_ARGUMENT, RPCStatusCode.RESOURCE_EXHAUSTED):
            raise
        raise VerbRefusedError(
            saga_id, VERB, f"the server does not take what it owes ({error}); raise its limits and ask again"
        ) from error
