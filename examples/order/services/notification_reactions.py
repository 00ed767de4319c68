"""The reactions of the notification service to orders; see `examples/payment/services` for its code."""

from choreography import Reactions, on
from examples.payment import operations as ops
from examples.payment.messages import Notice, receipt
from examples.payment.services.notification import NOTIFICATION

from ..event_types import order_approved, order_cancelled, payment_captured, shipment_voided
from ..messages import Order, cancelled, on_its_way


def receipt_of(order: Order) -> Notice:
    """Makes the receipt for the payment of an order."""
    return receipt(order.payment)


REACTIONS = Reactions(
    NOTIFICATION,
    on(payment_captured).do(ops.send_receipt, receipt_of, child_saga="payment"),
    on(order_approved).do(ops.tell_customer, on_its_way),
    on(order_cancelled).do(ops.tell_customer, cancelled),
    # After a cancellation no receipt is sent; a receipt that was sent cannot be taken back.
    on(shipment_voided).void(ops.send_receipt, receipt_of, child_saga="payment"),
)
