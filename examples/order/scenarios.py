"""The scenarios of the order saga, as data: the order, the disturbance, and the expected end state."""

import asyncio
from collections.abc import Callable, Mapping

from temporalio.api.enums.v1 import EventType

from examples.demo.scenario import RunningScenario, Scenario
from examples.payment.messages import PaymentMethod
from examples.payment.scenarios import CUSTOMER, PRICE
from examples.stack.end_state import read_end_state

from .messages import Address, Order, OrderLine

ORDER_EFFECTS: Mapping[str, tuple[str, ...]] = {
    "order": ("approve-order", "create-order"),
    "inventory": ("reserve-stock",),
    "payment": ("authorize-payment", "capture-payment"),
    "shipping": ("create-shipment",),
}
"""The effects of a completed order, per service."""

ORDER_NOTICES = ("Your order is on its way", "Your receipt")
CANCELLED_NOTICES = ("Your order was cancelled",)
CANCELLED_AFTER_RECEIPT_NOTICES = ("Your order was cancelled", "Your receipt")

POLL_SECONDS = 0.05


def an_order(
    *, card: str = "tok_visa", sku: str = "TEA-GREEN", postal_code: str = "10115"
) -> Callable[[str], Order]:
    """Builds orders, from an order id; the values choose the behaviour of the services: docs/test-data.md."""

    def build(order_id: str) -> Order:
        return Order(
            order_id=order_id,
            customer=CUSTOMER,
            lines=(OrderLine(sku=sku, quantity=2), OrderLine(sku="MUG-WHITE", quantity=1)),
            amount=PRICE,
            currency="EUR",
            method=PaymentMethod(type="card", token=card, last_four="4242"),
            address=Address(street="Invalidenstr. 116", postal_code=postal_code, country="DE"),
        )

    return build


async def cancel_during_payment(running: RunningScenario) -> None:
    """Cancels the order while the capture waits at its gate: the shipment has not started."""
    await running.stack.wait_until_gated("payment", running.order_id)
    running.announce("the customer cancels while the payment is in progress")
    await running.cancel()
    await _wait_until_cancellation_is_effective(running)
    await running.stack.open_gate("payment", running.order_id)


async def kill_worker(running: RunningScenario) -> None:
    """Kills the worker in the middle of a step, and starts a new one."""
    await running.stack.wait_until_gated("payment", running.order_id)
    running.announce("the worker is killed with SIGKILL while the payment is in progress")
    running.stack.worker.kill()
    await running.stack.open_gate("payment", running.order_id)
    await running.stack.start_worker()
    running.announce("a new worker has started")


async def kill_temporal(running: RunningScenario) -> None:
    """Kills the Temporal server in the middle of a step, and restarts the server."""
    assert running.stack.temporal is not None
    await running.stack.wait_until_gated("payment", running.order_id)
    running.announce("the Temporal server is killed with SIGKILL while the payment is in progress")
    running.stack.temporal.kill()
    await running.stack.open_gate("payment", running.order_id)
    await running.stack.temporal.restart()
    running.announce("the Temporal server runs again")


async def kill_service(running: RunningScenario) -> None:
    """Kills the payment service in the middle of a step, and restarts the service."""
    await running.stack.wait_until_gated("payment", running.order_id)
    running.announce("the payment service is killed with SIGKILL while the payment is in progress")
    running.stack.services["payment"].kill()
    running.stack.services["payment"].start()
    await running.stack.wait_for_service("payment")
    running.announce("the payment service runs again")
    await running.stack.open_gate("payment", running.order_id)


async def kill_broker(running: RunningScenario) -> None:
    """Kills RabbitMQ in the middle of a step, and restarts the broker."""
    await running.stack.wait_until_gated("payment", running.order_id)
    running.announce("RabbitMQ is killed with SIGKILL while the payment is in progress")
    await running.stack.kill_broker()
    running.announce("RabbitMQ runs again")
    await running.stack.open_gate("payment", running.order_id)


ORDERS = (
    Scenario(
        name="all-well",
        title="An order completes",
        build=an_order(),
        status="completed",
        effects=ORDER_EFFECTS,
        notices=ORDER_NOTICES,
    ),
    Scenario(
        name="out-of-stock",
        title="An article is out of stock",
        build=an_order(sku="SOLD-OUT"),
        status="compensated",
        notices=CANCELLED_NOTICES,
    ),
    Scenario(
        name="card-declined",
        title="The card is declined",
        build=an_order(card="tok_declined"),
        status="compensated",
        notices=CANCELLED_NOTICES,
    ),
    Scenario(
        name="capture-refused",
        title="The capture is refused: the authorization is voided",
        build=an_order(card="tok_capture_refused"),
        status="compensated",
        notices=CANCELLED_NOTICES,
    ),
    Scenario(
        name="shipment-refused",
        title="The shipment is refused, after the payment",
        build=an_order(postal_code="00001"),
        status="compensated",
        notices=CANCELLED_AFTER_RECEIPT_NOTICES,
    ),
    Scenario(
        name="reply-lost",
        title="The reply to the capture is lost: the capture takes effect once",
        build=an_order(card="tok_capture_reply_lost"),
        status="completed",
        effects=ORDER_EFFECTS,
        notices=ORDER_NOTICES,
    ),
    Scenario(
        name="replies-lost",
        title="All replies to the capture are lost: the unknown capture is refunded",
        build=an_order(card="tok_capture_replies_lost"),
        status="compensated",
        notices=CANCELLED_NOTICES,
    ),
    Scenario(
        name="customer-cancels",
        title="The customer cancels before the shipment starts",
        build=an_order(card="tok_capture_gated"),
        status="cancelled",
        notices=CANCELLED_NOTICES,
        disturb=cancel_during_payment,
    ),
    Scenario(
        name="worker-killed",
        title="The worker is killed in the middle of the saga",
        build=an_order(card="tok_capture_gated"),
        status="completed",
        effects=ORDER_EFFECTS,
        notices=ORDER_NOTICES,
        disturb=kill_worker,
        style="orchestrated",
    ),
    Scenario(
        name="temporal-killed",
        title="The Temporal server is killed in the middle of the saga",
        build=an_order(card="tok_capture_gated"),
        status="completed",
        effects=ORDER_EFFECTS,
        notices=ORDER_NOTICES,
        disturb=kill_temporal,
        kills="temporal",
        style="orchestrated",
    ),
    Scenario(
        name="service-killed",
        title="A service is killed in the middle of the saga",
        build=an_order(card="tok_capture_gated"),
        status="completed",
        effects=ORDER_EFFECTS,
        notices=ORDER_NOTICES,
        disturb=kill_service,
        style="choreographed",
    ),
    Scenario(
        name="broker-killed",
        title="The broker is killed in the middle of the saga",
        build=an_order(card="tok_capture_gated"),
        status="completed",
        effects=ORDER_EFFECTS,
        notices=ORDER_NOTICES,
        disturb=kill_broker,
        kills="rabbit",
        style="choreographed",
    ),
)
"""Order sagas, each with the payment saga as its child."""


async def _wait_until_cancellation_is_effective(running: RunningScenario) -> None:
    """Waits until the shipment can no longer start."""
    if running.style == "orchestrated":
        child = running.stack.client.get_workflow_handle(f"{running.saga_id}/payment")
        async for event in child.fetch_history_events(wait_new_event=True):
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
                return
        return
    # The shipping service, which owns the pivot, has voided the shipment before the order is cancelled.
    # No event reaches this process, so the state is polled.
    while (await read_end_state(running.stack, running.order_id)).order != "cancelled":  # noqa: ASYNC110
        await asyncio.sleep(POLL_SECONDS)
