"""Databases of the example services in memory, and questions about their tables."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from choreography import Participant, build_schema
from choreography._transaction.database import open_connection


@contextmanager
def database_of(participant: Participant) -> Iterator[sqlite3.Connection]:
    """An empty database in memory with the tables of a participant."""
    with closing(open_connection(":memory:", schema=build_schema(participant))) as db:
        yield db


def count_rows(db: sqlite3.Connection, *tables: str) -> list[int]:
    return [int(db.execute(f"select count(*) from {table}").fetchone()[0]) for table in tables]


def outbox_types(db: sqlite3.Connection) -> list[str]:
    """The types of the events in the outbox, in their order."""
    return [name for (name,) in db.execute("select type from saga_outbox order by seq")]
