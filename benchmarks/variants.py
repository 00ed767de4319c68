"""The variants of the order saga: with the SDK, and on plain temporalio."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter

from benchmarks.plain.order import PlainOrder
from benchmarks.plain.payment import PlainPayment
from examples.order.messages import Order
from examples.order.saga import OrderSaga
from examples.payment.saga import PaymentSaga
from sagas import SagaPlugin, start_saga


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A variant of the order saga.

    Args:
        workflows: The workflow classes, for a worker.
        connect: Connects a client to the server at an address.
        start: Starts a saga with an order, an id and a task queue.
    """

    workflows: tuple[type, ...]
    connect: Callable[[str], Awaitable[Client]]
    start: Callable[[Client, Order, str, str], Awaitable[WorkflowHandle[Any, Any]]]


async def _connect_sdk(address: str) -> Client:
    return await Client.connect(address, plugins=[SagaPlugin()])


async def _start_sdk(client: Client, order: Order, saga_id: str, queue: str) -> WorkflowHandle[Any, Any]:
    return await start_saga(client, OrderSaga.run, order, id=saga_id, task_queue=queue)


async def _connect_plain(address: str) -> Client:
    return await Client.connect(address, data_converter=pydantic_data_converter)


async def _start_plain(client: Client, order: Order, saga_id: str, queue: str) -> WorkflowHandle[Any, Any]:
    return await client.start_workflow(PlainOrder.run, order, id=saga_id, task_queue=queue)


VARIANTS = {
    "sdk": Variant(workflows=(OrderSaga, PaymentSaga), connect=_connect_sdk, start=_start_sdk),
    "plain": Variant(workflows=(PlainOrder, PlainPayment), connect=_connect_plain, start=_start_plain),
}
