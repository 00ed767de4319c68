"""How the payment service takes part in orders; its business code is `examples/payment/service.py`."""

from choreography import Reactions, on
from examples.payment import operations as ops
from examples.payment.messages import Payment
from examples.payment.service import PAYMENT

from .facts import (
    AFTER_CAPTURE,
    capture_refused,
    order_screened,
    payment_authorized,
    payment_captured,
    payment_declined,
    payment_unknown,
)
from .messages import Order


def payment_of(order: Order) -> Payment:
    """The payment of an order."""
    return order.payment


REACTIONS = Reactions(
    PAYMENT,
    on(order_screened)
    .do(ops.authorize_payment, payment_of, child_saga="payment")
    .on_done(payment_authorized)
    .on_rejected(payment_declined),
    on(payment_authorized)
    .do(ops.capture_payment, payment_of, child_saga="payment")
    .on_done(payment_captured)
    .on_rejected(capture_refused)
    .on_unknown(payment_unknown),
    on(*AFTER_CAPTURE).compensate(ops.capture_payment, payment_of, child_saga="payment"),
    on(capture_refused, *AFTER_CAPTURE).compensate(ops.authorize_payment, payment_of, child_saga="payment"),
)
"""The steps keep the keys that they have as a child saga of the order."""
