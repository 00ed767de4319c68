"""Starts a saga exactly once, or refuses to start the saga before anything happens."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, Unpack

from temporalio.api.common.v1 import Payload
from temporalio.api.history.v1 import WorkflowExecutionStartedEventAttributes as Started
from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.workflow import _Definition as WorkflowDefinition  # pyright: ignore[reportPrivateUsage]

from .._core.ids import check_saga_id
from .._core.saga_outcome import SagaOutcome
from .._errors import DuplicateSagaError, StartError
from .._history.payload_decoder import PayloadDecoder
from .._temporal.message_content import is_same_content
from .._temporal.read_back import changed_part
from .saga_handle import SagaHandle, result_type_of
from .start_options import StartOptions, check_start_options

SelfT = TypeVar("SelfT")
I = TypeVar("I")  # noqa: E741 - the input, as in a step
O = TypeVar("O")  # noqa: E741 - the output

LARGEST_MESSAGE = 128 * 1024
"""Bytes of JSON. Temporal refuses 2 MiB, and a history with large payloads is slow to replay."""


async def start_saga(
    client: Client,
    run: Callable[[SelfT, I], Awaitable[O]],
    message: I,
    /,
    *,
    id: str,  # noqa: A002 - as in `Client.start_workflow`
    task_queue: str,
    **options: Unpack[StartOptions],
) -> SagaHandle[O]:
    """Starts a saga, or finds the saga started before with the same id and the same message.

    A saga that was found keeps the options of the first call. Run timeouts, execution timeouts, retry
    policies and cron schedules are refused: Temporal would end or repeat the saga without compensating.

    Args:
        client: Has `SagaPlugin`.
        run: The run method of the saga's workflow class.
        message: The argument of the run method.
        id: The id of the saga: the business id, with a number if a business object may be tried again.
        task_queue: The task queue of the saga's workers.
        **options: `static_summary`, `static_details`, `memo`, `search_attributes`, `start_delay`, `priority`
            and `versioning_override`, as in `Client.start_workflow`; see `StartOptions`.

    Raises:
        StartError: The id is not well formed, the message is larger than 128 KiB or would arrive with other
            content, or an option is refused; nothing has happened.
        DuplicateSagaError: The id belongs to a saga of another type, or with another message.
    """
    check_saga_id(id)
    check_start_options(id, options)
    payload = _encode(client, id, message)
    try:
        started = await client.start_workflow(
            run,
            message,
            id=id,
            task_queue=task_queue,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            **options,
        )
    except WorkflowAlreadyStartedError:
        return await _find_started(client, run, id, payload)
    return SagaHandle(
        client,
        id,
        result_run_id=started.result_run_id,
        first_execution_run_id=started.first_execution_run_id,
        result_type=result_type_of(run),
    )


async def execute_saga(
    client: Client,
    run: Callable[[SelfT, I], Awaitable[O]],
    message: I,
    /,
    *,
    id: str,  # noqa: A002 - as in `Client.execute_workflow`
    task_queue: str,
    **options: Unpack[StartOptions],
) -> SagaOutcome[O]:
    """Starts a saga as `start_saga` does, waits until the saga has ended, and returns the outcome.

    ::

        match await execute_saga(client, OrderSaga.run, order, id="order-7", task_queue="orders"):
            case Completed(receipt):
                ...
            case Compensated("card_declined", reason=reason):
                ...

    The outcome is a value instead of a bare result or an exception: a compensated saga is an expected end,
    callers act differently on each ending, and type checkers find the endings missing in a `match`.
    `(await start_saga(...)).result()` returns the bare result and raises `WorkflowFailureError`.

    Args:
        client: As in `start_saga`.
        run: As in `start_saga`.
        message: As in `start_saga`.
        id: As in `start_saga`.
        task_queue: As in `start_saga`.
        **options: As in `start_saga`.

    Raises:
        StartError: As in `start_saga` and `SagaHandle.outcome`.
        DuplicateSagaError: As in `start_saga`.
        SagaError: As in `SagaHandle.outcome`.
    """
    handle = await start_saga(client, run, message, id=id, task_queue=task_queue, **options)
    return await handle.outcome()


def _encode(client: Client, saga_id: str, message: object) -> Payload:
    converter = client.data_converter.payload_converter
    payload = converter.to_payload(message)
    if part := changed_part(message, payload, converter):
        raise StartError(
            f"saga {saga_id!r} cannot be started: the message would arrive with other content, because "
            f"{part} does not read back the same"
        )
    if len(payload.data) > LARGEST_MESSAGE:
        raise StartError(
            f"saga {saga_id!r} cannot be started with a message of {len(payload.data)} bytes: at most "
            f"{LARGEST_MESSAGE} are allowed; store large data elsewhere and send a reference"
        )
    return payload


async def _find_started(
    client: Client, run: Callable[..., Awaitable[O]], saga_id: str, payload: Payload
) -> SagaHandle[O]:
    """Finds the saga with this id, if the type and the message are the same.

    A saga that continued as new is compared by the start of the first run. If the server does not keep the
    first run any more, the saga counts as different: treating a different request as a duplicate would
    silently drop the request.

    Raises:
        DuplicateSagaError: The saga is a different one.
    """
    definition = WorkflowDefinition.must_from_run_fn(run)

    def read(payload: Payload) -> object:
        return client.data_converter.payload_converter.from_payloads([payload], definition.arg_types)[0]

    latest = await _started_event(client, client.get_workflow_handle(saga_id))
    first_run_id = latest.first_execution_run_id
    try:
        started = await _started_event(client, client.get_workflow_handle(saga_id, run_id=first_run_id))
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        raise DuplicateSagaError(saga_id) from error
    before = started.input.payloads[0] if started.input.payloads else Payload()
    if started.workflow_type.name != definition.name or not is_same_content(before, payload, read):
        raise DuplicateSagaError(saga_id)
    return SagaHandle(client, saga_id, first_execution_run_id=first_run_id, result_type=result_type_of(run))


async def _started_event(client: Client, handle: WorkflowHandle[Any, object]) -> Started:
    decoder = PayloadDecoder(handle.id, client.namespace, client.data_converter)
    event = await anext(handle.fetch_history_events(page_size=1))
    await decoder.decode(event)
    return event.workflow_execution_started_event_attributes
