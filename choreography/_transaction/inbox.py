"""The inbox: one row per event that a participant has handled, in the transaction of what it did.

A broker delivers an event at least once. Two deliveries of one event meet at the primary key, and the
second has no effect. Rows have to be kept longer than the longest saga, with all its repetitions.
"""

import sqlite3
from datetime import datetime

SCHEMA = """
create table if not exists saga_inbox(
  participant text not null,
  event_id text not null,
  saga_id text not null,
  type text not null,
  fingerprint text not null,                -- of what came first; a command that says other is refused
  at integer not null,                      -- milliseconds since 1970
  primary key(participant, event_id)
) without rowid, strict;
"""


def admit(
    tx: sqlite3.Connection,
    participant: str,
    event_id: str,
    *,
    saga_id: str,
    event_type: str,
    fingerprint: str = "",
    now: datetime,
) -> str | None:
    """Notes that a participant handles an event, once.

    Args:
        tx: The transaction of everything that the event leads to.
        participant: Who handles it.
        event_id: Of the event.
        saga_id: For people who read the table.
        event_type: For them, too.
        fingerprint: Of its content, if another content under the same id matters.
        now: For the record; nothing is decided by it.

    Returns:
        `None` the first time; after that, the fingerprint of the first time.
    """
    admitted = tx.execute(
        "insert into saga_inbox(participant, event_id, saga_id, type, fingerprint, at)"
        " values(?, ?, ?, ?, ?, ?) on conflict do nothing",
        (participant, event_id, saga_id, event_type, fingerprint, int(now.timestamp() * 1000)),
    )
    if admitted.rowcount:
        return None
    (first,) = tx.execute(
        "select fingerprint from saga_inbox where participant = ? and event_id = ?", (participant, event_id)
    ).fetchone()
    return str(first)
