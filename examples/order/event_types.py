"""The event types and commands of orders; every event carries the whole order, for all later steps."""

from choreography import CommandType, EventType

from .messages import CancellationRequest, Order


def saga_of(message: Order | CancellationRequest) -> str:
    """Returns the id of the saga of an order."""
    return f"order-{message.order_id}"


place_order = CommandType("place-order", Order, saga_of)
request_cancellation = CommandType("request-cancellation", CancellationRequest, saga_of)

order_placed = EventType("order-placed", Order, source="order")
stock_reserved = EventType("stock-reserved", Order, source="inventory")
order_screened = EventType("order-screened", Order, source="order")
payment_authorized = EventType("payment-authorized", Order, source="payment")
payment_captured = EventType("payment-captured", Order, source="payment")
shipment_created = EventType("shipment-created", Order, source="shipping")
order_approved = EventType("order-approved", Order, source="order", is_final=True)

cancellation_requested = EventType("cancellation-requested", Order, source="order")

stock_refused = EventType("stock-refused", Order, source="inventory")
order_suspected = EventType("order-suspected", Order, source="order")
payment_declined = EventType("payment-declined", Order, source="payment")
capture_refused = EventType("capture-refused", Order, source="payment")
payment_unknown = EventType("payment-unknown", Order, source="payment")
shipment_refused = EventType("shipment-refused", Order, source="shipping")
shipment_voided = EventType("shipment-voided", Order, source="shipping")
order_cancelled = EventType("order-cancelled", Order, source="order", is_final=True)

AFTER_CAPTURE = (payment_unknown, shipment_refused, shipment_voided)
"""The events that abort an order whose payment may have been captured."""

AFTER_RESERVATION = (order_suspected, payment_declined, capture_refused, *AFTER_CAPTURE)
"""The events that abort an order whose articles may be reserved."""

ABORTS = (stock_refused, *AFTER_RESERVATION)
"""All events that abort an order before its shipment."""
