"""What happens to an order, as the services tell it; each fact carries the whole order: nobody has to ask."""

from choreography import CommandType, EventType

from .messages import CancellationRequest, Order


def saga_of(about: Order | CancellationRequest) -> str:
    """The id of the saga that fulfils an order."""
    return f"order-{about.order_id}"


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
"""What ends an order when its money may have been taken."""

AFTER_RESERVATION = (order_suspected, payment_declined, capture_refused, *AFTER_CAPTURE)
"""What ends an order when its articles may be set aside."""

ABORTS = (stock_refused, *AFTER_RESERVATION)
"""Everything that ends an order before the shipment exists."""
