"""The outbox: events that are told if and only if what they tell of is committed.

An event is stored in the transaction of the change that it tells of, published by a relay, and deleted
once the broker has confirmed it. There is no cursor: a row that commits late is not overlooked.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from .._declarations.event import Event

SCHEMA = """
create table if not exists saga_outbox(
  seq integer primary key autoincrement,
  event_id text not null unique,
  saga_id text not null,
  source text not null,
  type text not null,
  envelope text not null,                   -- the event as JSON
  created_at integer not null,              -- milliseconds since 1970
  due_at integer not null default 0,        -- not to be tried again before
  attempts integer not null default 0,
  last_error text
) strict;
create index if not exists saga_outbox_saga on saga_outbox(saga_id, seq);
"""

FIRST_PAUSE = timedelta(milliseconds=500)
LONGEST_PAUSE = timedelta(seconds=30)
"""Between two attempts at an event that no queue takes; the pause doubles from the first to the longest."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event that waits to be published, and its place in the outbox."""

    seq: int
    event: Event


def add(tx: sqlite3.Connection, event: Event) -> None:
    """Stores an event that is to be published if `tx` commits; an event that waits already is there once."""
    tx.execute(
        "insert into saga_outbox(event_id, saga_id, source, type, envelope, created_at)"
        " values(?, ?, ?, ?, ?, ?) on conflict(event_id) do nothing",
        (
            event.id,
            event.saga_id,
            event.source,
            event.type,
            event.model_dump_json(),
            _milliseconds(event.time),
        ),
    )


def due(tx: sqlite3.Connection, now: datetime, *, limit: int) -> list[Waiting]:
    """The events to be published now: the first of each saga, as what comes after it has to wait for it."""
    rows = tx.execute(
        "select seq, envelope from saga_outbox as this where due_at <= ? and not exists("
        "select 1 from saga_outbox where saga_id = this.saga_id and seq < this.seq) order by seq limit ?",
        (_milliseconds(now), limit),
    )
    return [Waiting(seq, Event.model_validate_json(envelope)) for seq, envelope in rows]


def delete(tx: sqlite3.Connection, published: Iterable[int]) -> None:
    """Forgets events that the broker has confirmed."""
    tx.executemany("delete from saga_outbox where seq = ?", [(seq,) for seq in published])


def postpone(tx: sqlite3.Connection, seq: int, reason: str, now: datetime) -> None:
    """Keeps an event that could not be published, notes why, and lets it wait for a while."""
    (attempts,) = tx.execute("select attempts from saga_outbox where seq = ?", (seq,)).fetchone()
    pause = min(FIRST_PAUSE * 2 ** min(attempts, 10), LONGEST_PAUSE)
    tx.execute(
        "update saga_outbox set attempts = attempts + 1, last_error = ?, due_at = ? where seq = ?",
        (reason[:1000], _milliseconds(now + pause), seq),
    )


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
