"""Starting a saga: checked before anything happens, and never twice."""

from collections import Counter, deque
from collections.abc import Awaitable, Callable, Hashable, Mapping, Set
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter
from temporalio.api.common.v1 import Payload
from temporalio.api.history.v1 import WorkflowExecutionStartedEventAttributes as Started
from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDReusePolicy
from temporalio.converter import PayloadConverter
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.workflow import _Definition as WorkflowDefinition  # pyright: ignore[reportPrivateUsage]

from .._core.ids import check_saga_id
from .._errors import DuplicateSagaError, StartError
from .._history.payload_decoder import PayloadDecoder

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
        started = await _start_of(client, id)
        definition = WorkflowDefinition.must_from_run_fn(run)
        read = partial(_content, client.data_converter.payload_converter, definition)
        if started is None or started.workflow_type.name != definition.name:
            raise DuplicateSagaError(id) from error
        before = started.input.payloads[0] if started.input.payloads else Payload()
        if before.data != payload.data and read(before) != read(payload):
            raise DuplicateSagaError(id) from error
        return client.get_workflow_handle_for(run, id)


async def _start_of(client: Client, saga_id: str) -> Started | None:
    """What a saga was started with; its later runs were not, where it has continued as new.

    None where the server no longer keeps the first run. Whether the content was the same cannot be told then,
    and who is refused has a look; who were taken for somebody else would never know that nothing was started.
    """
    latest = await _first_event(client, client.get_workflow_handle(saga_id))
    first = client.get_workflow_handle(saga_id, run_id=latest.first_execution_run_id)
    try:
        return await _first_event(client, first)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return None


async def _first_event(client: Client, handle: WorkflowHandle[Any, Any]) -> Started:
    decoder = PayloadDecoder(handle.id, client.namespace, client.data_converter)
    event = await anext(handle.fetch_history_events(page_size=1))
    await decoder.decode(event)
    return event.workflow_execution_started_event_attributes


def _content(converter: PayloadConverter, definition: WorkflowDefinition, payload: Payload) -> Hashable:
    """What a payload says, as its workflow would read it; where it could not, the bytes.

    The same set has its members in another order in another process, so bytes alone would not do.
    """
    try:
        return _said(converter.from_payloads([payload], definition.arg_types)[0])
    except Exception:  # noqa: BLE001 - whatever a converter raises, nobody can read it
        return payload.data


def _said(value: Any) -> Hashable:
    """What a value says, and its type, whatever it calls equal.

    Entities may be equal where their ids are, and a dataclass may leave fields out when it is compared. What
    `dump_python` makes of a model cannot be in a set.

    Raises:
        Exception: A value in it is of a type that pydantic does not know.
    """
    kind: type[object] = value.__class__
    said: Hashable
    if issubclass(kind, BaseModel):
        said = _said(dict(BaseModel.__iter__(value)))
    elif is_dataclass(kind):
        said = _said({field.name: getattr(value, field.name) for field in fields(kind)})
    elif issubclass(kind, Mapping):
        said = frozenset((_said(key), _said(each)) for key, each in value.items())
    elif issubclass(kind, Set):
        said = frozenset(Counter(map(_said, value)).items())
    elif issubclass(kind, (list, tuple, deque)):
        said = tuple(map(_said, value))
    else:
        said = TypeAdapter(kind).dump_python(value)
    return value.__class__, said
