"""The outbox: an event is published if and only if the transaction of the change commits.

An event is stored in the transaction of the change, published by the relay, and deleted after the broker has
confirmed the event. The relay keeps no cursor: a row that commits late is not skipped.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from .._backoff import Backoff
from .._declarations.event import Event
from .database import to_milliseconds

SCHEMA = """
create table if not exists saga_outbox(
  seq integer primary key autoincrement,
  event_id text not null unique,
  saga_id text not null,
  source text not null,
  type text not null,
  envelope text not null,                   -- the event as JSON
  created_at integer not null,              -- milliseconds since 1970
  due_at integer not null default 0,        -- the earliest time of the next attempt
  attempts integer not null default 0,
  last_error text
) strict;
create index if not exists saga_outbox_saga on saga_outbox(saga_id, seq);
"""

UNPUBLISHABLE_BACKOFF = Backoff(
    first=timedelta(milliseconds=500), longest=timedelta(seconds=30), jitter=(1.0, 1.0)
)
"""The pauses between attempts at an event that the bus refuses; no jitter, as one process relays."""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event in the outbox, with the position."""

    seq: int
    event: Event


def add(tx: sqlite3.Connection, event: Event) -> None:
    """Stores an event for publication; a second call with the same event has no effect."""
    tx.execute(
        "insert into saga_outbox(event_id, saga_id, source, type, envelope, created_at)"
        " values(?, ?, ?, ?, ?, ?) on conflict(event_id) do nothing",
        (
            event.id,
            event.saga_id,
            event.source,
            event.type,
            event.model_dump_json(),
            to_milliseconds(event.time),
        ),
    )


def read_due(tx: sqlite3.Connection, now: datetime, *, limit: int) -> list[StoredEvent]:
    """Reads the events to publish now: the first of each saga, because later events must wait."""
    rows = tx.execute(
        "select seq, envelope from saga_outbox as this where due_at <= ? and not exists("
        "select 1 from saga_outbox where saga_id = this.saga_id and seq < this.seq) order by seq limit ?",
        (to_milliseconds(now), limit),
    )
    return [StoredEvent(seq, Event.model_validate_json(envelope)) for seq, envelope in rows]


def delete(tx: sqlite3.Connection, published: Iterable[int]) -> None:
    """Deletes confirmed events by their positions."""
    tx.executemany("delete from saga_outbox where seq = ?", [(seq,) for seq in published])


def postpone(tx: sqlite3.Connection, seq: int, reason: str, now: datetime) -> None:
    """Records a failed publication and postpones the next attempt."""
    (attempts,) = tx.execute("select attempts from saga_outbox where seq = ?", (seq,)).fetchone()
    pause = UNPUBLISHABLE_BACKOFF.interval_after(attempts + 1)
    tx.execute(
        "update saga_outbox set attempts = attempts + 1, last_error = ?, due_at = ? where seq = ?",
        (reason[:1000], to_milliseconds(now + pause), seq),
    )
