"""Starts rescue workflows with pending compensations, and reads both from histories."""

from collections.abc import Generator
from contextlib import contextmanager

from temporalio.client import Client
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from .._errors import VerbRefusedError
from .._history.saga_record import SagaRecord
from .._wire.chunked_text import ChunkAssembler, split
from .._wire.rescue import CHUNK_SIGNAL, RESCUE_TYPE, PendingCompensations, RescueRequest
from .._wire.size_limits import LARGEST_MESSAGE

VERB = "rescue"


def pending_of(rescue: SagaRecord) -> PendingCompensations:
    """The pending compensations that a rescue workflow has received; empty while chunks are missing."""
    request = RescueRequest.from_json_value(rescue.input)
    text = _assemble(rescue).whole
    return request.pending if text is None else PendingCompensations.model_validate_json(text)


def has_missing_chunks(rescue: SagaRecord) -> bool:
    """Whether a rescue workflow waits for chunks of pending compensations."""
    request = RescueRequest.from_json_value(rescue.input)
    return request.is_chunked and _assemble(rescue).whole is None


async def start_rescue(
    client: Client, rescue_id: str, request: RescueRequest, *, task_queue: str
) -> str | None:
    """Starts a rescue workflow with all pending compensations; large ones follow in chunks.

    Returns:
        The run id, or None if a rescue with this id exists already.
    """
    pending = request.pending
    if len(client.data_converter.payload_converter.to_payload(request).data) > LARGEST_MESSAGE:
        request = request.model_copy(
            update={"compensations": (), "unresolved_children": (), "is_chunked": True}
        )
    with _explained_size_limits(request.saga_id):
        try:
            # By name: the workflow class would need workflow code in the operator's process.
            handle = await client.start_workflow(
                RESCUE_TYPE,
                request,
                id=rescue_id,
                task_queue=task_queue,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                static_summary=f"rescue of {request.saga_id}",
            )
        except WorkflowAlreadyStartedError:
            return None
    if request.is_chunked:
        await send_missing_chunks(client, SagaRecord(rescue_id), pending)
    return handle.first_execution_run_id or ""


async def send_missing_chunks(client: Client, rescue: SagaRecord, pending: PendingCompensations) -> None:
    """Sends the chunks missing in the history of a rescue; a chunk may arrive more than once."""
    handle = client.get_workflow_handle(rescue.id)
    for chunk in _assemble(rescue).missing(split(pending.model_dump_json())):
        with _explained_size_limits(rescue.id):
            try:
                await handle.signal(CHUNK_SIGNAL, chunk)
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
                # Another sender was faster, and the rescue has ended.
                return


def _assemble(rescue: SagaRecord) -> ChunkAssembler:
    return ChunkAssembler().add_those_in(rescue.chunks)


@contextmanager
def _explained_size_limits(saga_id: str) -> Generator[None]:
    """Explains the error of a server or proxy with size limits below Temporal's defaults."""
    try:
        yield
    except RPCError as error:
        if error.status not in (RPCStatusCode.INVALID_ARGUMENT, RPCStatusCode.RESOURCE_EXHAUSTED):
            raise
        raise VerbRefusedError(
            saga_id,
            VERB,
            f"the server rejects the pending compensations ({error}); raise its size "
            "limits, and repeat the rescue",
        ) from error
