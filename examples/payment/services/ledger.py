"""The double-entry ledger of the payment service: postings between accounts, per order.

A posting moves an amount between two accounts in a single row, so a posting is always balanced; postings are
never changed or deleted. A compensation is a new posting that reverses an old posting. Per customer and
currency, customer + escrow + merchant is always 0.
"""

import sqlite3
from typing import Literal

from ..messages import Payment

Kind = Literal["hold", "capture"]
"""The kind of posting of an action; the reversals are `release` and `refund`."""

TABLES = """
create table if not exists posting(
  posting_id integer primary key,
  key text not null,                        -- the idempotency key of the action
  kind text not null check(kind in ('hold', 'capture', 'release', 'refund')),
  order_id text not null,
  customer_id text not null,
  debit text not null check(debit in ('customer', 'escrow', 'merchant')),
  credit text not null check(credit in ('customer', 'escrow', 'merchant')),
  amount integer not null check(amount > 0),
  currency text not null,
  reverses integer unique references posting(posting_id),
  check(debit <> credit),
  check((reverses is null) = (kind in ('hold', 'capture'))),
  unique(kind, key)
) strict;
create index if not exists posting_order on posting(order_id);
create trigger if not exists posting_stays before update on posting
  begin select raise(abort, 'a posting is never changed'); end;
create trigger if not exists posting_remains before delete on posting
  begin select raise(abort, 'a posting is never deleted'); end;

create view if not exists entry(posting_id, order_id, customer_id, account, amount, currency) as
  select posting_id, order_id, customer_id, debit, -amount, currency from posting
  union all
  select posting_id, order_id, customer_id, credit, amount, currency from posting;

create table if not exists order_total(
  order_id text not null,
  currency text not null,
  authorised integer not null default 0,
  captured integer not null default 0,
  refunded integer not null default 0,
  primary key(order_id, currency),
  check(0 <= refunded and refunded <= captured and captured <= authorised)
) without rowid, strict;
create trigger if not exists posting_counts after insert on posting begin
  insert into order_total(order_id, currency) values(new.order_id, new.currency) on conflict do nothing;
  update order_total set
    authorised = authorised + iif(new.kind = 'hold', new.amount, 0),
    captured = captured + iif(new.kind = 'capture', new.amount, 0),
    refunded = refunded + iif(new.kind = 'refund', new.amount, 0)
  where order_id = new.order_id and currency = new.currency;
end;
"""

ACCOUNTS = {"hold": ("customer", "escrow"), "capture": ("escrow", "merchant")}
"""The accounts that an action debits and credits."""

REVERSALS = {"hold": "release", "capture": "refund"}
"""The kind of the reversing posting, by the kind of the reversed posting."""


class LedgerError(Exception):
    """The books do not balance, because of a bug in this service; the transaction must not commit."""


def post(tx: sqlite3.Connection, kind: Kind, payment: Payment, key: str) -> None:
    """Posts the amount of `payment` for an action, once per key.

    Raises:
        LedgerError: The books of the order do not balance afterwards.
        sqlite3.IntegrityError: More would be captured than was authorised, or the key has a posting.
    """
    debit, credit = ACCOUNTS[kind]
    tx.execute(
        "insert into posting(key, kind, order_id, customer_id, debit, credit, amount, currency)"
        " values(?, ?, ?, ?, ?, ?, ?, ?)",
        (key, kind, payment.order_id, payment.customer.id, debit, credit, payment.amount, payment.currency),
    )
    verify(tx, payment.order_id)


def reverse(tx: sqlite3.Connection, kind: Kind, key: str) -> None:
    """Reverses the posting of `key` with a new posting, once.

    Raises:
        LedgerError: No such posting exists, or the books of the order do not balance afterwards.
        sqlite3.IntegrityError: The posting was reversed before.
    """
    row = tx.execute(
        "insert into posting(key, kind, order_id, customer_id, debit, credit, amount, currency, reverses)"
        " select key, ?, order_id, customer_id, credit, debit, amount, currency, posting_id"
        " from posting where kind = ? and key = ? returning order_id",
        (REVERSALS[kind], kind, key),
    ).fetchone()
    if row is None:
        raise LedgerError(f"the ledger has no {kind} under the key {key!r} to reverse")
    verify(tx, row[0])


def verify(tx: sqlite3.Connection, order_id: str) -> None:
    """Checks the books of an order, recomputed from its postings; runs before every commit.

    Raises:
        LedgerError: The entries do not sum to 0, the totals differ from the postings, more was captured
            than authorised, or more was refunded than captured.
    """
    totals = dict.fromkeys(("hold", "capture", "refund", "release"), 0)
    totals |= dict(
        tx.execute("select kind, sum(amount) from posting where order_id = ? group by kind", (order_id,))
    )
    authorised, captured, refunded = totals["hold"], totals["capture"], totals["refund"]
    counted = tx.execute(
        "select sum(authorised), sum(captured), sum(refunded) from order_total where order_id = ?",
        (order_id,),
    ).fetchone()
    (entries,) = tx.execute("select sum(amount) from entry where order_id = ?", (order_id,)).fetchone()
    if entries != 0 or counted != (authorised, captured, refunded):
        raise LedgerError(f"the books of order {order_id!r} do not agree: {entries=}, {counted=}, {totals=}")
    if not 0 <= refunded <= captured <= authorised or totals["release"] > authorised:
        raise LedgerError(f"order {order_id!r} moved more than it had: {totals}")


def balance(tx: sqlite3.Connection, order_id: str | None = None) -> dict[str, dict[str, int]]:
    """Returns the balance of each account and the sum, 0, per currency; of an order, or of all orders."""
    accounts: dict[str, dict[str, int]] = {}
    rows = tx.execute(
        "select currency, account, sum(amount) from entry where ? is null or order_id = ? group by 1, 2",
        (order_id, order_id),
    )
    for currency, account, amount in rows:
        accounts.setdefault(currency, {"customer": 0, "escrow": 0, "merchant": 0})[account] = amount
    return {currency: amounts | {"sum": sum(amounts.values())} for currency, amounts in accounts.items()}
