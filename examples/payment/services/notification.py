"""The notification service: sends notices to customers. A sent notice cannot be taken back."""

import sqlite3
from hashlib import sha256

from choreography import OperationHandler, Participant, Reactions, on

from .. import operations as ops
from ..event_types import amount_taken, hold_refused, taking_refused, taking_unknown
from ..messages import Notice, NoticeSent, not_taken, receipt

TABLES = """
create table if not exists notice(
  key text primary key,
  notice_id text not null unique,
  operation text not null,
  order_id text not null,
  customer_id text not null,                -- the address stays with the customer's record
  subject text not null
) strict, without rowid;
create index if not exists notice_order on notice(order_id);
"""


def send_receipt(tx: sqlite3.Connection, notice: Notice, key: str) -> NoticeSent:
    """Sends the receipt of a payment."""
    return _send(tx, ops.send_receipt.name, notice, key)


def tell_customer(tx: sqlite3.Connection, notice: Notice, key: str) -> NoticeSent:
    """Sends the notice of the end of an order or payment."""
    return _send(tx, ops.tell_customer.name, notice, key)


def state(tx: sqlite3.Connection, order_id: str) -> dict[str, object]:
    """Returns the notices about an order."""
    rows = tx.execute("select operation, subject from notice where order_id = ? order by key", (order_id,))
    notices = rows.fetchall()
    return {
        "effects": [operation for operation, _ in notices],
        "notices": [{"operation": operation, "subject": subject} for operation, subject in notices],
    }


NOTIFICATION = Participant(
    name="notification",
    tables=TABLES,
    handlers=(
        OperationHandler(ops.send_receipt, send_receipt),
        OperationHandler(ops.tell_customer, tell_customer),
    ),
)

REACTIONS = Reactions(
    NOTIFICATION,
    on(amount_taken).do(ops.send_receipt, receipt),
    on(hold_refused, taking_refused, taking_unknown).do(ops.tell_customer, not_taken),
)
"""The reactions to payments without an order."""


def _send(tx: sqlite3.Connection, operation: str, notice: Notice, key: str) -> NoticeSent:
    notice_id = f"notice_{sha256(key.encode()).hexdigest()[:16]}"
    tx.execute(
        "insert into notice(key, notice_id, operation, order_id, customer_id, subject)"
        " values(?, ?, ?, ?, ?, ?)",
        (key, notice_id, operation, notice.order_id, notice.customer.id, notice.subject),
    )
    return NoticeSent(notice_id=notice_id)
