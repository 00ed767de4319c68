"""The order service: records orders and their status, and screens orders for fraud."""

import sqlite3

from choreography import OperationHandler, Participant, Reactions, on
from sagas import RejectedError

from .. import operations as ops
from ..event_types import (
    ABORTS,
    cancellation_requested,
    order_approved,
    order_cancelled,
    order_placed,
    order_screened,
    order_suspected,
    place_order,
    request_cancellation,
    shipment_created,
    stock_reserved,
)
from ..messages import CancellationRequest, Order, OrderRecord, Screening, ScreenOrder, check_order

TABLES = """
create table if not exists customer_order(
  order_id text primary key,
  key text not null,                        -- the idempotency key of the create-order command
  status text not null check(status in ('pending', 'approved', 'cancelled')),
  content text not null                     -- the order as JSON
) strict, without rowid;
"""

FRAUD_DOMAIN = "fraud.example"
REFUSED_SCORE = 90


def create(tx: sqlite3.Connection, order: Order, key: str) -> OrderRecord:
    """Records an order as pending; a cancelled order may be created again, with the same content.

    Raises:
        RejectedError: The order is invalid, or the id belongs to another order.
    """
    check_order(order)
    content = order.model_dump_json()
    known = tx.execute(
        "select content = ?, status from customer_order where order_id = ?", (content, order.order_id)
    ).fetchone()
    if known is not None and known != (True, "cancelled"):
        is_same, status = known
        what = "the same" if is_same else "other"
        raise RejectedError(
            "duplicate_order", f"order {order.order_id!r} exists with {what} content, {status}", "order_id"
        )
    tx.execute(
        "insert into customer_order(order_id, key, status, content) values(?, ?, 'pending', ?)"
        " on conflict(order_id) do update set key = excluded.key, status = excluded.status",
        (order.order_id, key, content),
    )
    return OrderRecord(order_id=order.order_id, status="pending")


def cancel(tx: sqlite3.Connection, order: Order, key: str) -> None:
    """Cancels the order created under the same key; the record stays, and the id is not reused."""
    tx.execute(
        "update customer_order set status = 'cancelled' where order_id = ? and key = ?", (order.order_id, key)
    )


def approve(tx: sqlite3.Connection, order: Order, key: str) -> OrderRecord:
    """Approves an order.

    Raises:
        RejectedError: The order is unknown or cancelled.
    """
    del key  # An order may be approved under any key.
    changed = tx.execute(
        "update customer_order set status = 'approved' where order_id = ? and status <> 'cancelled'",
        (order.order_id,),
    )
    if changed.rowcount == 0:
        raise RejectedError("order_not_open", f"order {order.order_id!r} is unknown or cancelled", "order_id")
    return OrderRecord(order_id=order.order_id, status="approved")


def screen(tx: sqlite3.Connection, command: ScreenOrder, key: str) -> Screening:
    """Scores an order for fraud, from 0 to 100, without effect.

    Raises:
        RejectedError: The score is too high.
    """
    del tx, key
    domain = command.customer.email.rpartition("@")[2].lower()
    score = 95 if domain == FRAUD_DOMAIN else min(60, command.amount // 100_000)
    if score >= REFUSED_SCORE:
        raise RejectedError("suspected_fraud", f"the order scores {score} of 100", "customer.email")
    return Screening(score=score)


def find(tx: sqlite3.Connection, request: CancellationRequest) -> Order:
    """Finds the order of a cancellation request.

    Raises:
        RejectedError: The order is unknown.
    """
    row = tx.execute("select content from customer_order where order_id = ?", (request.order_id,)).fetchone()
    if row is None:
        raise RejectedError("unknown_order", f"there is no order {request.order_id!r}", "order_id")
    return Order.model_validate_json(row[0])


def state(tx: sqlite3.Connection, order_id: str) -> dict[str, object]:
    """Returns the status of an order, null for an unknown order."""
    row = tx.execute("select status from customer_order where order_id = ?", (order_id,)).fetchone()
    status = row[0] if row else None
    created = [ops.create_order.name] if status in {"pending", "approved"} else []
    approved = [ops.approve_order.name] if status == "approved" else []
    return {"effects": [*created, *approved], "status": status}


ORDER = Participant(
    name="order",
    tables=TABLES,
    handlers=(
        OperationHandler(ops.create_order, create).compensated_by(ops.cancel_order, cancel),
        OperationHandler(ops.approve_order, approve),
        OperationHandler(ops.screen_order, screen),
    ),
)

REACTIONS = Reactions(
    ORDER,
    on(place_order).do(ops.create_order).on_done(order_placed),
    on(stock_reserved)
    .do(ops.screen_order, ScreenOrder.of)
    .on_done(order_screened)
    .on_rejected(order_suspected),
    on(shipment_created).do(ops.approve_order).on_done(order_approved),
    on(*ABORTS).compensate(ops.create_order).on_done(order_cancelled),
    on(request_cancellation).publish(cancellation_requested, find),
)
