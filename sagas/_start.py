"""Starting a saga: checked before anything happens, and never twice."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.workflow import _Definition as WorkflowDefinition  # pyright: ignore[reportPrivateUsage]

from ._errors import DuplicateSagaError, StartError
from ._history.decoding import Decoder
from ._keys import check_saga_id

SelfT = TypeVar("SelfT")
I = TypeVar("I")  # noqa: E741 - what goes in, as in a step
O = TypeVar("O")  # noqa: E741 - what comes out

LARGEST_INPUT = 128 * 1024
"""Bytes of JSON; Temporal refuses 2 MiB, and a history with large payloads is slow to replay."""


async def start_saga(
    client: Client,
    run: Callable[[SelfT, I], Awaitable[O]],
    message: I,
    /,
    *,
    id: str,  # noqa: A002 - as in `Client.start_workflow`
    task_queue: str,
    summary: str | None = None,
    details: str | None = None,
) -> WorkflowHandle[Any, O]:
    """Starts a saga, or finds the one that was started with the same id and the same content.

    Args:
        client: Has `SagaPlugin`.
        run: The run method of the saga's workflow class.
        message: What the saga gets.
        id: The saga's id: the business id, and a number where a business object may be tried again.
        task_queue: Where its workers listen.
        summary: One line for lists, in Markdown.
        details: A few lines for the saga's page, in Markdown.

    Raises:
        StartError: The id is not well formed, or the content is larger than 128 KiB.
        DuplicateSagaError: The id belongs to a saga of another type, or with other content.
    """
    check_saga_id(id)
    payload = client.data_converter.payload_converter.to_payload(message)
    if len(payload.data) > LARGEST_INPUT:
        raise StartError(
            f"the content of saga {id!r} is {len(payload.data)} bytes; at most {LARGEST_INPUT} are taken"
        )
    try:
        return await client.start_workflow(
            run,
            message,
            id=id,
            task_queue=task_queue,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            static_summary=summary,
            static_details=details,
        )
    except WorkflowAlreadyStartedError as error:
        handle = client.get_workflow_handle_for(run, id)
        if await _started_with(client, handle) != (
            WorkflowDefinition.must_from_run_fn(run).name,
            payload.data,
        ):
            raise DuplicateSagaError(id) from error
        return handle


async def _started_with(client: Client, handle: WorkflowHandle[Any, Any]) -> tuple[str, bytes]:
    """The type and the content that a saga was started with, from the first event of its history."""
    decoder = Decoder(handle.id, client.namespace, client.data_converter)
    async for event in handle.fetch_history_events(page_size=1):
        await decoder.decode(event)
        started = event.workflow_execution_started_event_attributes
        return started.workflow_type.name, started.input.payloads[0].data if started.input.payloads else b""
    return "", b""
