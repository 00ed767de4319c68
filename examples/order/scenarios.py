"""What can happen to an order, as data: what makes it happen, and how it must end in every service."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field

from examples.order.messages import Address, Order, OrderLine
from examples.payment.messages import Customer, Payment, PaymentMethod
from examples.stack.end_state import COMPLETED, PAID
from examples.stack.stack import Stack

PRICE = 4_200

ORDER_TOLD = ("Your order is on its way", "Your receipt")
CANCELLED_TOLD = ("Your order was cancelled",)
CANCELLED_AFTER_RECEIPT = ("Your order was cancelled", "Your receipt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What a scenario may disturb: the servers, and the saga that runs on them."""

    stack: Stack
    order_id: str
    cancel: Callable[[], Awaitable[None]]
    say: Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One story, and its end.

    Args:
        name: For the command line and for ids.
        title: For people.
        build: Makes the order or the payment from an order id.
        ends: `completed`, `compensated` or `cancelled`.
        effects: What must be present in the end, per service.
        told: What the customer must have been told.
        disturb: What is done while it runs.
        style: The only style in which there is such a thing; by default there are both.
    """

    name: str
    title: str
    build: Callable[[str], Order | Payment]
    ends: str
    effects: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    told: tuple[str, ...] = ()
    disturb: Callable[[Stage], Coroutine[None, None, None]] | None = None
    style: str | None = None


def an_order(
    *, card: str = "tok_visa", sku: str = "TEA-GREEN", postal_code: str = "10115"
) -> Callable[[str], Order]:
    """Builds orders that differ in what the services read as instructions; see docs/test-data.md."""

    def build(order_id: str) -> Order:
        return Order(
            order_id=order_id,
            customer=_customer(),
            lines=(OrderLine(sku=sku, quantity=2), OrderLine(sku="MUG-WHITE", quantity=1)),
            amount=PRICE,
            currency="EUR",
            method=PaymentMethod(type="card", token=card, last_four="4242"),
            address=Address(street="Invalidenstr. 116", postal_code=postal_code, country="DE"),
        )

    return build


def a_payment(*, card: str = "tok_visa", currency: str = "EUR") -> Callable[[str], Payment]:
    """Builds payments without an order."""

    def build(order_id: str) -> Payment:
        return Payment(
            order_id=order_id,
            amount=PRICE,
            currency=currency,
            customer=_customer(),
            method=PaymentMethod(type="card", token=card, last_four="4242"),
        )

    return build


async def cancel_at_the_gate(stage: Stage) -> None:
    """The customer cancels while the money is being taken: the shipment has not begun."""
    await stage.stack.until_gated("payment", stage.order_id)
    stage.say("the customer cancels while the payment is under way")
    await stage.cancel()
    await stage.stack.open_gate("payment", stage.order_id)


async def kill_worker(stage: Stage) -> None:
    """The worker dies in the middle of a step, and another one takes over."""
    await stage.stack.until_gated("payment", stage.order_id)
    stage.say("the worker is killed with SIGKILL while the payment is under way")
    stage.stack.worker.kill()
    await stage.stack.open_gate("payment", stage.order_id)
    await stage.stack.start_worker()
    stage.say("a new worker has started")


async def kill_temporal(stage: Stage) -> None:
    """The Temporal server dies in the middle of a step, and comes back."""
    assert stage.stack.temporal is not None
    await stage.stack.until_gated("payment", stage.order_id)
    stage.say("the Temporal server is killed with SIGKILL while the payment is under way")
    stage.stack.temporal.kill()
    await stage.stack.open_gate("payment", stage.order_id)
    await stage.stack.temporal.restart()
    stage.say("the Temporal server is back")


async def kill_service(stage: Stage) -> None:
    """The payment service dies in the middle of a step, and is started again."""
    await stage.stack.until_gated("payment", stage.order_id)
    stage.say("the payment service is killed with SIGKILL while the payment is under way")
    stage.stack.services["payment"].kill()
    stage.stack.services["payment"].start()
    await stage.stack.wait_for_service("payment")
    stage.say("the payment service is back")
    await stage.stack.open_gate("payment", stage.order_id)


async def kill_broker(stage: Stage) -> None:
    """RabbitMQ dies in the middle of a step, and comes back."""
    await stage.stack.until_gated("payment", stage.order_id)
    stage.say("RabbitMQ is killed with SIGKILL while the payment is under way")
    await stage.stack.kill_broker()
    stage.say("RabbitMQ is back")
    await stage.stack.open_gate("payment", stage.order_id)


ORDERS = (
    Scenario(
        name="all-well",
        title="All goes well",
        build=an_order(),
        ends="completed",
        effects=COMPLETED,
        told=ORDER_TOLD,
    ),
    Scenario(
        name="out-of-stock",
        title="An article is out of stock",
        build=an_order(sku="SOLD-OUT"),
        ends="compensated",
        told=CANCELLED_TOLD,
    ),
    Scenario(
        name="card-declined",
        title="The card is declined",
        build=an_order(card="tok_declined"),
        ends="compensated",
        told=CANCELLED_TOLD,
    ),
    Scenario(
        name="capture-refused",
        title="The capture is refused: the authorization is voided",
        build=an_order(card="tok_capture_refused"),
        ends="compensated",
        told=CANCELLED_TOLD,
    ),
    Scenario(
        name="shipment-refused",
        title="The shipment is refused, after the payment",
        build=an_order(postal_code="00001"),
        ends="compensated",
        told=CANCELLED_AFTER_RECEIPT,
    ),
    Scenario(
        name="reply-lost",
        title="The reply is lost after the effect: it happened once all the same",
        build=an_order(card="tok_capture_reply_lost"),
        ends="completed",
        effects=COMPLETED,
        told=ORDER_TOLD,
    ),
    Scenario(
        name="replies-lost",
        title="All replies are lost: nobody knows, so it is made up for",
        build=an_order(card="tok_capture_replies_lost"),
        ends="compensated",
        told=CANCELLED_TOLD,
    ),
    Scenario(
        name="customer-cancels",
        title="The customer cancels before the shipment begins",
        build=an_order(card="tok_capture_gated"),
        ends="cancelled",
        told=CANCELLED_TOLD,
        disturb=cancel_at_the_gate,
    ),
    Scenario(
        name="worker-killed",
        title="The worker is killed in the middle of the saga",
        build=an_order(card="tok_capture_gated"),
        ends="completed",
        effects=COMPLETED,
        told=ORDER_TOLD,
        disturb=kill_worker,
        style="orchestrated",
    ),
    Scenario(
        name="temporal-killed",
        title="The Temporal server is killed in the middle of the saga",
        build=an_order(card="tok_capture_gated"),
        ends="completed",
        effects=COMPLETED,
        told=ORDER_TOLD,
        disturb=kill_temporal,
        style="orchestrated",
    ),
    Scenario(
        name="service-killed",
        title="A service is killed in the middle of the saga",
        build=an_order(card="tok_capture_gated"),
        ends="completed",
        effects=COMPLETED,
        told=ORDER_TOLD,
        disturb=kill_service,
        style="choreographed",
    ),
    Scenario(
        name="broker-killed",
        title="The broker is killed in the middle of the saga",
        build=an_order(card="tok_capture_gated"),
        ends="completed",
        effects=COMPLETED,
        told=ORDER_TOLD,
        disturb=kill_broker,
        style="choreographed",
    ),
)
"""Order sagas, each with the payment saga as its child."""

PAYMENTS = (
    Scenario(
        name="paid",
        title="A payment goes well",
        build=a_payment(),
        ends="completed",
        effects=PAID,
        told=("Your receipt",),
    ),
    Scenario(
        name="payment-declined",
        title="A payment is declined: the customer is told",
        build=a_payment(card="tok_declined"),
        ends="compensated",
        told=("Your payment was not taken",),
    ),
    Scenario(
        name="payment-capture-refused",
        title="The capture of a payment is refused: the authorization is voided",
        build=a_payment(card="tok_capture_refused"),
        ends="compensated",
        told=("Your payment was not taken",),
    ),
    Scenario(
        name="unsupported-currency",
        title="A currency that nobody takes: refused before anything happens",
        build=a_payment(currency="XAU"),
        ends="compensated",
        told=("Your payment was not taken",),
    ),
)
"""Payment sagas on their own."""


def _customer() -> Customer:
    return Customer(id="c-1", email="ada@example.org")
