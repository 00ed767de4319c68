"""The scenarios of the payment saga alone, as data."""

from collections.abc import Callable, Mapping

from examples.demo.scenario import Scenario

from .messages import Customer, Payment, PaymentMethod

PRICE = 4_200
CUSTOMER = Customer(id="c-1", email="ada@example.org")

PAYMENT_EFFECTS: Mapping[str, tuple[str, ...]] = {"payment": ("authorize-payment", "capture-payment")}
"""The effects of a completed payment, per service."""

NOT_TAKEN_NOTICES = ("Your payment was not taken",)


def a_payment(*, card: str = "tok_visa", currency: str = "EUR") -> Callable[[str], Payment]:
    """Builds payments without an order, from an order id."""

    def build(order_id: str) -> Payment:
        return Payment(
            order_id=order_id,
            amount=PRICE,
            currency=currency,
            customer=CUSTOMER,
            method=PaymentMethod(type="card", token=card, last_four="4242"),
        )

    return build


PAYMENTS = (
    Scenario(
        name="paid",
        title="A payment completes",
        build=a_payment(),
        status="completed",
        effects=PAYMENT_EFFECTS,
        notices=("Your receipt",),
    ),
    Scenario(
        name="payment-declined",
        title="A payment is declined: the customer gets a notice",
        build=a_payment(card="tok_declined"),
        status="compensated",
        notices=NOT_TAKEN_NOTICES,
    ),
    Scenario(
        name="payment-capture-refused",
        title="The capture of a payment is refused: the authorization is voided",
        build=a_payment(card="tok_capture_refused"),
        status="compensated",
        notices=NOT_TAKEN_NOTICES,
    ),
    Scenario(
        name="unsupported-currency",
        title="An unsupported currency is rejected before any effect",
        build=a_payment(currency="XAU"),
        status="compensated",
        notices=NOT_TAKEN_NOTICES,
    ),
)
"""Payment sagas without an order."""
