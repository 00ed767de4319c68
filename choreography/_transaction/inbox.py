"""The inbox: one row per event that a participant has handled, in the transaction of the handling.

A broker delivers an event at least once. A second delivery finds the row of the first delivery and has no
effect. Rows must be kept longer than the longest saga, redeliveries included.
"""

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from .database import to_milliseconds

SCHEMA = """
create table if not exists saga_inbox(
  participant text not null,
  event_id text not null,
  saga_id text not null,
  type text not null,
  fingerprint text not null,                -- of the first command; a repeat with another content is rejected
  at integer not null,                      -- milliseconds since 1970
  primary key(participant, event_id)
) without rowid, strict;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxEntry:
    """An event or a command at a participant.

    Args:
        participant: The handling participant.
        event_id: The id of the event; for a command, an id derived from the saga and the command type.
        saga_id: The saga, for operators who read the table.
        type: The type of the event or the command, for operators.
        fingerprint: The fingerprint of a command; empty for an event.
    """

    participant: str
    event_id: str
    saga_id: str
    type: str
    fingerprint: str = ""


def admit(tx: sqlite3.Connection, entry: InboxEntry, *, now: datetime) -> str | None:
    """Records a new entry, with the time `now`.

    Returns:
        `None` for a new entry; otherwise the fingerprint of the first entry with this event id.
    """
    admitted = tx.execute(
        "insert into saga_inbox(participant, event_id, saga_id, type, fingerprint, at)"
        " values(?, ?, ?, ?, ?, ?) on conflict do nothing",
        (
            entry.participant,
            entry.event_id,
            entry.saga_id,
            entry.type,
            entry.fingerprint,
            to_milliseconds(now),
        ),
    )
    if admitted.rowcount:
        return None
    (first,) = tx.execute(
        "select fingerprint from saga_inbox where participant = ? and event_id = ?",
        (entry.participant, entry.event_id),
    ).fetchone()
    return str(first)
