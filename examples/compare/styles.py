"""The two ways to run a saga over the same services, behind one small protocol."""

import asyncio
from typing import Protocol

import httpx
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError

from examples.compare.records import Records, Steps
from examples.order.messages import Order
from examples.order.saga import OrderSaga
from examples.payment.messages import Payment
from examples.payment.saga import PaymentSaga
from sagas import start_saga

Message = Order | Payment

STATUS = {
    WorkflowExecutionStatus.COMPLETED: "completed",
    WorkflowExecutionStatus.FAILED: "compensated",
    WorkflowExecutionStatus.CANCELED: "cancelled",
}
COMPENSATED = ("create-order", "reserve-stock", "authorize-payment", "capture-payment")
"""The actions that have a compensation."""
ATTEMPTS = 5
POLL = 0.02
"""Seconds between two looks at a saga that nobody can wait for."""


class Style(Protocol):
    """How sagas are begun, told to turn round, and waited for."""

    @property
    def name(self) -> str:
        """`orchestrated` or `choreographed`."""
        ...

    async def place(self, message: Message, *, about: str = "") -> str:
        """Begins a saga and returns its id, the same in both styles; from then on nothing is lost.

        Args:
            message: An order, or a payment without an order.
            about: What people should read of it, where the style has a place for that.
        """
        ...

    async def cancel(self, saga_id: str) -> None:
        """Asks an order to turn round; it may be too late for that."""
        ...

    async def until_ended(self, saga_id: str) -> str:
        """Waits until nothing will happen any more: `completed`, `compensated` or `cancelled`."""
        ...


class Orchestrated:
    """Sagas as workflows: Temporal knows them, and says when they have ended."""

    name = "orchestrated"

    def __init__(self, client: Client, task_queue: str) -> None:
        self._client, self._task_queue = client, task_queue

    async def place(self, message: Message, *, about: str = "") -> str:
        """Starts the workflow."""
        saga_id = saga_id_of(message)
        if isinstance(message, Order):
            await start_saga(
                self._client,
                OrderSaga.run,
                message,
                id=saga_id,
                task_queue=self._task_queue,
                static_summary=f"order of {message.customer.id}: {len(message.lines)} articles",
                static_details=about or None,
            )
        else:
            await start_saga(
                self._client,
                PaymentSaga.run,
                message,
                id=saga_id,
                task_queue=self._task_queue,
                static_summary=f"payment of {message.amount} {message.currency} (minor units)",
                static_details=about or None,
            )
        return saga_id

    async def cancel(self, saga_id: str) -> None:
        """Cancels the workflow."""
        await self._client.get_workflow_handle(saga_id).cancel()

    async def until_ended(self, saga_id: str) -> str:
        """Waits for the workflow to close."""
        handle = self._client.get_workflow_handle(saga_id)
        try:
            await handle.result()
        except WorkflowFailureError:
            status = (await handle.describe()).status
            return STATUS.get(status or WorkflowExecutionStatus.RUNNING, "lost")
        return "completed"


class Choreographed:
    """Sagas as events between the services: nobody knows them whole, so their end is read in every service.

    Args:
        http: For the services' commands.
        records: The services' databases.
        urls: Where the services listen.
    """

    name = "choreographed"

    def __init__(self, http: httpx.AsyncClient, records: Records, urls: dict[str, str]) -> None:
        self._http, self._records, self._urls = http, records, urls
        self._looked_at = 0.0

    async def place(self, message: Message, *, about: str = "") -> str:
        """Asks the service with which the saga begins."""
        del about  # There is no place for it.
        if isinstance(message, Order):
            return await self._ask("order", "place-order", message.model_dump(mode="json"))
        return await self._ask("payment", "place-payment", message.model_dump(mode="json"))

    async def cancel(self, saga_id: str) -> None:
        """Asks the order service, which tells the others."""
        await self._ask("order", "request-cancellation", {"order_id": saga_id.removeprefix("order-")})

    async def until_ended(self, saga_id: str) -> str:
        """Looks into the services' databases again and again."""
        loop = asyncio.get_running_loop()
        while (end := end_of(self._records.steps(saga_id))) is None:
            # All who wait share one look.
            if loop.time() - self._looked_at >= POLL:
                self._records.refresh()
                self._looked_at = loop.time()
            else:
                await asyncio.sleep(POLL)
        return end

    async def _ask(self, service: str, command: str, message: dict[str, object]) -> str:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                response = await self._http.post(f"{self._urls[service]}/{command}", json=message)
            except httpx.TransportError:
                # Nobody knows whether it arrived; a command that is sent again is the same command.
                if attempt == ATTEMPTS:
                    raise
                await asyncio.sleep(attempt * POLL)
            else:
                response.raise_for_status()
                return str(response.json()["saga_id"])
        raise AssertionError("unreachable")


def saga_id_of(message: Message) -> str:
    """The id of the saga of an order or a payment: the same in both styles."""
    return f"{'order' if isinstance(message, Order) else 'payment'}-{message.order_id}"


def end_of(steps: Steps) -> str | None:
    """How a saga without an orchestrator has ended, from what all services know of it; `None` if it has not.

    It has ended when the customer was told how, and no service still has to react: neither with a receipt,
    nor with a compensation of something that is still done.
    """
    states = {action: step.state for action, step in steps.items()}
    shipment = states.get("create-shipment")
    if shipment is not None and "send-receipt" not in states:
        return None
    if shipment == "done":
        return "completed" if {"approve-order", "tell-customer"} <= states.keys() else None
    if "create-order" not in states and states.get("capture-payment") == "done":
        return "completed" if "send-receipt" in states else None
    if "tell-customer" not in states or any(states.get(action) == "done" for action in COMPENSATED):
        return None
    if shipment == "fenced":
        # A cancellation reaches every service, also those that had nothing to do with the order yet.
        return "cancelled" if states.keys() >= set(COMPENSATED) else None
    return "compensated"
