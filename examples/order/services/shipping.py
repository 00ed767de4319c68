"""The shipping service: hands parcels to the carrier. A shipped parcel cannot be called back: a pivot."""

import sqlite3
from hashlib import sha256

from choreography import OperationHandler, Participant, Reactions, on
from sagas import RejectedError

from .. import operations as ops
from ..event_types import (
    cancellation_requested,
    payment_captured,
    shipment_created,
    shipment_refused,
    shipment_voided,
)
from ..messages import CreateShipment, Shipment, check_lines

UNDELIVERABLE = "00001"
"""The postal code refused by the simulated carrier."""

TABLES = """
create table if not exists shipment(
  key text primary key,
  shipment_id text not null unique,
  tracking_code text not null unique,
  order_id text not null,
  address text not null                     -- JSON
) strict, without rowid;
create index if not exists shipment_order on shipment(order_id);
create table if not exists shipment_line(
  key text not null references shipment(key),
  sku text not null,
  quantity integer not null check(quantity > 0),
  primary key(key, sku)
) strict, without rowid;
"""


def ship(tx: sqlite3.Connection, command: CreateShipment, key: str) -> Shipment:
    """Hands the articles of an order to the carrier.

    Raises:
        RejectedError: The carrier does not deliver to the address.
    """
    check_lines(command.lines)
    if command.address.postal_code == UNDELIVERABLE:
        raise RejectedError(
            "undeliverable_address", "the carrier does not deliver there", "address.postal_code"
        )
    digest = sha256(key.encode()).hexdigest()
    shipment = Shipment(shipment_id=f"ship_{digest[:16]}", tracking_code=digest[16:28].upper())
    tx.execute(
        "insert into shipment(key, shipment_id, tracking_code, order_id, address) values(?, ?, ?, ?, ?)",
        (
            key,
            shipment.shipment_id,
            shipment.tracking_code,
            command.order_id,
            command.address.model_dump_json(),
        ),
    )
    tx.executemany(
        "insert into shipment_line(key, sku, quantity) values(?, ?, ?)",
        [(key, line.sku, line.quantity) for line in command.lines],
    )
    return shipment


def state(tx: sqlite3.Connection, order_id: str) -> dict[str, object]:
    """Returns the articles shipped for an order."""
    (parcels,) = tx.execute("select count(*) from shipment where order_id = ?", (order_id,)).fetchone()
    shipped = tx.execute(
        "select sku, sum(quantity) from shipment join shipment_line using(key)"
        " where order_id = ? group by sku",
        (order_id,),
    )
    return {"effects": [ops.create_shipment.name] * parcels, "shipped": dict(shipped)}


SHIPPING = Participant(
    name="shipping", tables=TABLES, handlers=(OperationHandler(ops.create_shipment, ship),)
)

REACTIONS = Reactions(
    SHIPPING,
    on(payment_captured)
    .do(ops.create_shipment, CreateShipment.of)
    .on_done(shipment_created)
    .on_rejected(shipment_refused),
    # The owner of the pivot decides: a cancellation after the shipment has no effect.
    on(cancellation_requested).void(ops.create_shipment, CreateShipment.of).on_done(shipment_voided),
)
