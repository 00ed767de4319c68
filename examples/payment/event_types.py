"""The event types and commands of payments without an order; every event carries the whole payment."""

from choreography import CommandType, EventType

from .messages import Payment


def saga_of(payment: Payment) -> str:
    """Returns the id of the saga of a payment."""
    return f"payment-{payment.order_id}"


place_payment = CommandType("place-payment", Payment, saga_of)

payment_placed = EventType("payment-placed", Payment, source="payment")
amount_held = EventType("amount-held", Payment, source="payment")
amount_taken = EventType("amount-taken", Payment, source="payment", is_final=True)

hold_refused = EventType("hold-refused", Payment, source="payment")
taking_refused = EventType("taking-refused", Payment, source="payment")
taking_unknown = EventType("taking-unknown", Payment, source="payment")
