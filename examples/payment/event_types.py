"""The event types and commands of payments without an order; every event carries the whole payment."""

from choreography import Command, Fact

from .messages import Payment


def saga_of(payment: Payment) -> str:
    """Returns the id of the saga of a payment."""
    return f"payment-{payment.order_id}"


place_payment = Command("place-payment", Payment, saga_of)

payment_placed = Fact("payment-placed", Payment, by="payment")
amount_held = Fact("amount-held", Payment, by="payment")
amount_taken = Fact("amount-taken", Payment, by="payment", is_final=True)

hold_refused = Fact("hold-refused", Payment, by="payment")
taking_refused = Fact("taking-refused", Payment, by="payment")
taking_unknown = Fact("taking-unknown", Payment, by="payment")
