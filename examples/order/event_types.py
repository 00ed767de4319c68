"""The event types and commands of orders; every event carries the whole order, for all later steps."""

from choreography import Command, Fact

from .messages import CancellationRequest, Order


def saga_of(message: Order | CancellationRequest) -> str:
    """Returns the id of the saga of an order."""
    return f"order-{message.order_id}"


place_order = Command("place-order", Order, saga_of)
request_cancellation = Command("request-cancellation", CancellationRequest, saga_of)

order_placed = Fact("order-placed", Order, by="order")
stock_reserved = Fact("stock-reserved", Order, by="inventory")
order_screened = Fact("order-screened", Order, by="order")
payment_authorized = Fact("payment-authorized", Order, by="payment")
payment_captured = Fact("payment-captured", Order, by="payment")
shipment_created = Fact("shipment-created", Order, by="shipping")
order_approved = Fact("order-approved", Order, by="order", is_final=True)

cancellation_requested = Fact("cancellation-requested", Order, by="order")

stock_refused = Fact("stock-refused", Order, by="inventory")
order_suspected = Fact("order-suspected", Order, by="order")
payment_declined = Fact("payment-declined", Order, by="payment")
capture_refused = Fact("capture-refused", Order, by="payment")
payment_unknown = Fact("payment-unknown", Order, by="payment")
shipment_refused = Fact("shipment-refused", Order, by="shipping")
shipment_voided = Fact("shipment-voided", Order, by="shipping")
order_cancelled = Fact("order-cancelled", Order, by="order", is_final=True)

AFTER_CAPTURE = (payment_unknown, shipment_refused, shipment_voided)
"""The events that abort an order whose payment may have been captured."""

AFTER_RESERVATION = (order_suspected, payment_declined, capture_refused, *AFTER_CAPTURE)
"""The events that abort an order whose articles may be reserved."""

ABORTS = (stock_refused, *AFTER_RESERVATION)
"""All events that abort an order before its shipment."""
