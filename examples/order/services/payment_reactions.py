"""The reactions of the payment service to orders; the business code is in `examples/payment/services`."""

from choreography import Reactions, on
from examples.payment import operations as ops
from examples.payment.messages import Payment
from examples.payment.services.payment import PAYMENT

from ..event_types import (
    AFTER_CAPTURE,
    capture_refused,
    order_screened,
    payment_authorized,
    payment_captured,
    payment_declined,
    payment_unknown,
)
from ..messages import Order


def payment_of(order: Order) -> Payment:
    """Returns the payment of an order."""
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
"""The idempotency keys are equal to the keys of the payment saga as a child of the order saga."""
