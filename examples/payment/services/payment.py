"""The payment service: takes a payment in two steps, each with a compensation.

`authorize-payment` moves the amount from customer to escrow, `capture-payment` from escrow to merchant.
`void-authorization` and `refund-payment` reverse exactly the posting with the same idempotency key. If a void
overtakes the refund of the same payment, escrow is overdrawn until the refund; the books always balance.
"""

import sqlite3
from hashlib import sha256

from choreography import OperationHandler, Participant, Reactions, on
from sagas import RejectedError

from .. import operations as ops
from ..event_types import (
    amount_held,
    amount_taken,
    hold_refused,
    payment_placed,
    place_payment,
    taking_refused,
    taking_unknown,
)
from ..messages import Authorization, Capture, Payment, check_payment
from . import ledger

TABLES = (
    ledger.TABLES
    + """
create table if not exists authorization(
  key text primary key,
  authorization_id text not null unique,
  order_id text not null,
  customer_id text not null,
  amount integer not null,
  currency text not null,
  captured_by text unique,                  -- the key of the capture that used it up
  is_voided integer not null default 0 check(is_voided in (0, 1))
) strict, without rowid;
create index if not exists authorization_order on authorization(order_id);
"""
)

PROVIDER_REFUSALS = {
    (ops.authorize_payment.name, "tok_declined"): ("card_declined", "the bank declined the card"),
    (ops.capture_payment.name, "tok_capture_refused"): ("capture_refused", "the bank refused the capture"),
}
"""The refusals of the simulated card provider, by operation and token; other tokens are accepted."""


def authorize(tx: sqlite3.Connection, payment: Payment, key: str) -> Authorization:
    """Holds the amount for the order.

    Raises:
        RejectedError: The payment is invalid, or the provider declines the card.
    """
    check_payment(payment)
    _ask_provider(ops.authorize_payment.name, payment)
    authorization_id = _id("auth", key)
    tx.execute(
        "insert into authorization(key, authorization_id, order_id, customer_id, amount, currency)"
        " values(?, ?, ?, ?, ?, ?)",
        (key, authorization_id, payment.order_id, payment.customer.id, payment.amount, payment.currency),
    )
    ledger.post(tx, "hold", payment, key)
    return Authorization(authorization_id=authorization_id, amount=payment.amount, currency=payment.currency)


def void(tx: sqlite3.Connection, payment: Payment, key: str) -> None:
    """Releases the amount held under the same key; the authorization can no longer be captured."""
    del payment  # The posting of the key has the amount.
    tx.execute("update authorization set is_voided = 1 where key = ?", (key,))
    ledger.reverse(tx, "hold", key)


def capture(tx: sqlite3.Connection, payment: Payment, key: str) -> Capture:
    """Captures the amount held for the order.

    Raises:
        RejectedError: No open authorization matches the payment exactly, or the provider refuses.
    """
    check_payment(payment)
    held = tx.execute(
        "select key from authorization where order_id = ? and customer_id = ? and amount = ? and currency = ?"
        " and captured_by is null and not is_voided limit 1",
        (payment.order_id, payment.customer.id, payment.amount, payment.currency),
    ).fetchone()
    if held is None:
        raise RejectedError(
            "not_authorized", f"no authorization is open for this payment of order {payment.order_id!r}"
        )
    _ask_provider(ops.capture_payment.name, payment)
    tx.execute("update authorization set captured_by = ? where key = ?", (key, *held))
    ledger.post(tx, "capture", payment, key)
    return Capture(capture_id=_id("cap", key), amount=payment.amount, currency=payment.currency)


def refund(tx: sqlite3.Connection, payment: Payment, key: str) -> None:
    """Refunds the amount captured under the same key; the authorization stays captured."""
    del payment  # The posting of the key has the amount.
    ledger.reverse(tx, "capture", key)


def state(tx: sqlite3.Connection, order_id: str) -> dict[str, object]:
    """Returns the totals of an order, its accounts, and the actions with a present effect."""
    effects = tx.execute(
        "select iif(kind = 'hold', ?, ?) from posting as p where order_id = ? and reverses is null"
        " and not exists(select 1 from posting where reverses = p.posting_id) order by posting_id",
        (ops.authorize_payment.name, ops.capture_payment.name, order_id),
    )
    totals = tx.execute(
        "select currency, authorised, captured, refunded from order_total where order_id = ?", (order_id,)
    )
    return {
        "effects": [name for (name,) in effects],
        "totals": {
            currency: {
                "authorised": authorised,
                "captured": captured,
                "refunded": refunded,
                "net": captured - refunded,
            }
            for currency, authorised, captured, refunded in totals
        },
        "accounts": ledger.balance(tx, order_id),
    }


def balance(tx: sqlite3.Connection) -> dict[str, object]:
    """Returns the totals per kind of account and currency, and whether their sums are 0."""
    accounts = ledger.balance(tx)
    return {"is_conserved": all(each["sum"] == 0 for each in accounts.values()), "accounts": accounts}


PAYMENT = Participant(
    name="payment",
    tables=TABLES,
    handlers=(
        OperationHandler(ops.authorize_payment, authorize).compensated_by(ops.void_authorization, void),
        OperationHandler(ops.capture_payment, capture).compensated_by(ops.refund_payment, refund),
    ),
)

REACTIONS = Reactions(
    PAYMENT,
    on(place_payment).publish(payment_placed),
    on(payment_placed).do(ops.authorize_payment).on_done(amount_held).on_rejected(hold_refused),
    on(amount_held)
    .do(ops.capture_payment)
    .on_done(amount_taken)
    .on_rejected(taking_refused)
    .on_unknown(taking_unknown),
    on(taking_unknown).compensate(ops.capture_payment),
    on(taking_refused, taking_unknown).compensate(ops.authorize_payment),
)
"""The reactions to payments without an order."""


def _ask_provider(operation: str, payment: Payment) -> None:
    refusal = PROVIDER_REFUSALS.get((operation, payment.method.token))
    if refusal is not None:
        code, reason = refusal
        raise RejectedError(code, reason, "method.token")


def _id(prefix: str, key: str) -> str:
    """Derives an id from the key: repeated runs give equal results."""
    return f"{prefix}_{sha256(key.encode()).hexdigest()[:16]}"
