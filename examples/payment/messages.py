"""The messages of payments: the payment, the notices to the customer, and the results of operations.

Money is an integer in minor units (cents) with its ISO 4217 currency. A card appears as the token of a
payment provider and its last four digits, never as a number.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints

from sagas import RejectedError

Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Currency = Annotated[str, StringConstraints(min_length=3, max_length=3)]

CURRENCIES = frozenset({"EUR", "USD", "GBP", "JPY"})
METHODS = frozenset({"card", "sepa_debit"})
MAX_AMOUNT = 100_000_000
"""The largest payment taken, in minor units."""


class Message(BaseModel):
    """The base of all messages: immutable, and strict about fields and types (no conversion)."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        # Errors appear in histories and logs in clear: with the field and the rule, without the value.
        hide_input_in_errors=True,
    )


class Customer(Message):
    """The customer: payer and recipient of the notices."""

    id: Id
    email: Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)]


class PaymentMethod(Message):
    """The means of payment, as a token of the payment provider."""

    type: Annotated[str, StringConstraints(min_length=1, max_length=32)]
    token: Annotated[str, StringConstraints(pattern=r"^tok_[a-z0-9_]{1,60}$")]
    last_four: Annotated[str, StringConstraints(pattern=r"^[0-9]{4}$")]


class Payment(Message):
    """The payment of an order by a customer."""

    order_id: Id
    amount: int
    currency: Currency
    customer: Customer
    method: PaymentMethod


class Authorization(Message):
    """The provider holds the amount."""

    authorization_id: str
    amount: int
    currency: Currency


class Capture(Message):
    """The amount has moved to the merchant."""

    capture_id: str
    amount: int
    currency: Currency


class Compensated(Message):
    """The compensated action has no effect any more; `found` is the effect before the compensation."""

    found: Literal["effect", "nothing"]


class Notice(Message):
    """A notice to a customer."""

    order_id: Id
    customer: Customer
    subject: Annotated[str, StringConstraints(min_length=1, max_length=200)]


class NoticeSent(Message):
    """The notice is sent to the customer."""

    notice_id: str


def receipt(payment: Payment) -> Notice:
    """Makes the receipt for a payment."""
    return _notice(payment, "Your receipt")


def not_taken(payment: Payment) -> Notice:
    """Makes the notice about a refused payment."""
    return _notice(payment, "Your payment was not taken")


def check_payment(payment: Payment) -> None:
    """Validates a payment.

    Raises:
        RejectedError: The payment breaks a rule; with the field and the rule.
    """
    if not 0 < payment.amount <= MAX_AMOUNT:
        raise RejectedError(
            "amount_out_of_range",
            f"amount must be 1 to {MAX_AMOUNT} minor units, not {payment.amount}",
            "amount",
        )
    if payment.currency not in CURRENCIES:
        known = ", ".join(sorted(CURRENCIES))
        raise RejectedError(
            "unsupported_currency", f"currency must be one of {known}, not {payment.currency!r}", "currency"
        )
    if payment.method.type not in METHODS:
        known = ", ".join(sorted(METHODS))
        raise RejectedError(
            "unknown_method", f"method must be one of {known}, not {payment.method.type!r}", "method.type"
        )


def _notice(payment: Payment, subject: str) -> Notice:
    return Notice(order_id=payment.order_id, customer=payment.customer, subject=subject)
