"""The inventory service: the stock on hand, and the reservations of orders.

A reservation lasts until its release; the shipment of the parcel is recorded by the shipping service, in its
own database. So, per article, on hand + reserved is constant, and for a completed order the reserved
quantities equal the shipped quantities.
"""

import sqlite3
from hashlib import sha256

from choreography import OperationHandler, Participant, Reactions, on
from sagas import RejectedError

from .. import operations as ops
from ..event_types import AFTER_RESERVATION, order_placed, stock_refused, stock_reserved
from ..messages import Reservation, ReserveStock, check_lines

CATALOGUE = {
    "TEA-GREEN": 1_000_000,
    "TEA-BLACK": 1_000_000,
    "MUG-WHITE": 1_000_000,
    "KETTLE-1L": 1_000_000,
    "BOOK-SAGAS": 1_000_000,
    "SOLD-OUT": 0,
}
"""The stock of a new inventory, per article."""

TABLES = """
create table if not exists article(
  sku text primary key,
  total integer not null check(total >= 0),
  on_hand integer not null check(on_hand >= 0),
  reserved integer not null default 0 check(reserved >= 0),
  check(on_hand + reserved = total)
) strict, without rowid;
create trigger if not exists stock_is_conserved before update of total on article
  begin select raise(abort, 'a reservation must not change the total'); end;
create table if not exists reservation(
  key text primary key,
  reservation_id text not null unique,
  order_id text not null,
  is_released integer not null default 0 check(is_released in (0, 1))
) strict, without rowid;
create index if not exists reservation_order on reservation(order_id);
create table if not exists reservation_line(
  key text not null references reservation(key),
  sku text not null references article(sku),
  quantity integer not null check(quantity > 0),
  primary key(key, sku)
) strict, without rowid;
""" + "".join(
    f"insert or ignore into article(sku, total, on_hand) values('{sku}', {quantity}, {quantity});\n"
    for sku, quantity in CATALOGUE.items()
)


def reserve(tx: sqlite3.Connection, command: ReserveStock, key: str) -> Reservation:
    """Reserves all articles of an order, or none.

    Raises:
        RejectedError: An article is unknown or out of stock.
    """
    check_lines(command.lines)
    reservation_id = f"res_{sha256(key.encode()).hexdigest()[:16]}"
    tx.execute(
        "insert into reservation(key, reservation_id, order_id) values(?, ?, ?)",
        (key, reservation_id, command.order_id),
    )
    for n, line in enumerate(command.lines):
        row = tx.execute("select on_hand from article where sku = ?", (line.sku,)).fetchone()
        if row is None:
            raise RejectedError("unknown_article", f"there is no article {line.sku!r}", f"lines.{n}.sku")
        if row[0] < line.quantity:
            raise RejectedError(
                "out_of_stock",
                f"{row[0]} of {line.sku!r} are left, not {line.quantity}",
                f"lines.{n}.quantity",
            )
        tx.execute(
            "update article set on_hand = on_hand - ?1, reserved = reserved + ?1 where sku = ?2",
            (line.quantity, line.sku),
        )
        tx.execute(
            "insert into reservation_line(key, sku, quantity) values(?, ?, ?)", (key, line.sku, line.quantity)
        )
    return Reservation(reservation_id=reservation_id)


def release(tx: sqlite3.Connection, command: ReserveStock, key: str) -> None:
    """Returns the articles reserved under the same key to stock."""
    del command  # The reservation of the key has the articles.
    lines = tx.execute("select quantity, sku from reservation_line where key = ?", (key,)).fetchall()
    tx.executemany(
        "update article set on_hand = on_hand + ?1, reserved = reserved - ?1 where sku = ?2", lines
    )
    tx.execute("update reservation set is_released = 1 where key = ?", (key,))


def state(tx: sqlite3.Connection, order_id: str) -> dict[str, object]:
    """Returns the articles reserved for an order."""
    (standing,) = tx.execute(
        "select count(*) from reservation where order_id = ? and not is_released", (order_id,)
    ).fetchone()
    reserved = tx.execute(
        "select sku, sum(quantity) from reservation join reservation_line using(key)"
        " where order_id = ? and not is_released group by sku",
        (order_id,),
    )
    return {"effects": [ops.reserve_stock.name] * standing, "reserved": dict(reserved)}


def balance(tx: sqlite3.Connection) -> dict[str, object]:
    """Returns the stock per article, and whether the stock matches the start value and the reservations."""
    articles: dict[str, object] = {}
    is_conserved = True
    rows = tx.execute(
        "select sku, total, on_hand, reserved, (select coalesce(sum(quantity), 0) from reservation_line"
        " join reservation using(key) where sku = article.sku and not is_released) from article"
    )
    for sku, total, on_hand, reserved, promised in rows:
        articles[sku] = {"total": total, "on_hand": on_hand, "reserved": reserved}
        is_conserved &= on_hand + reserved == total == CATALOGUE[sku] and reserved == promised
    return {"is_conserved": is_conserved, "articles": articles}


INVENTORY = Participant(
    name="inventory",
    tables=TABLES,
    handlers=(OperationHandler(ops.reserve_stock, reserve).compensated_by(ops.release_stock, release),),
)

REACTIONS = Reactions(
    INVENTORY,
    on(order_placed)
    .do(ops.reserve_stock, ReserveStock.of)
    .on_done(stock_reserved)
    .on_rejected(stock_refused),
    on(*AFTER_RESERVATION).compensate(ops.reserve_stock, ReserveStock.of),
)
