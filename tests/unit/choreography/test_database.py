"""A unit of work is atomic, runs alone, and is durable."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from choreography import ContractError, Database

SCHEMA = "create table if not exists word(word text primary key) strict;"


def words(tx: sqlite3.Connection) -> list[str]:
    return [word for (word,) in tx.execute("select word from word order by word")]


async def test_a_unit_that_raises_changes_nothing(tmp_path: Path) -> None:
    """An error rolls back every change of the unit, and the next unit works."""

    def fail(tx: sqlite3.Connection) -> None:
        tx.execute("insert into word values('lost')")
        raise LookupError("midway")

    async with Database.open(tmp_path / "db", schema=SCHEMA) as database:
        with pytest.raises(LookupError):
            await database.transact(fail)
        await database.transact(lambda tx: tx.execute("insert into word values('kept')"))
        assert await database.read(words) == ["kept"]
        assert database.writes == 1


async def test_only_transactions_with_changes_are_counted(tmp_path: Path) -> None:
    """A repeated request without a change costs no database write."""
    async with Database.open(tmp_path / "db", schema=SCHEMA) as database:
        await database.transact(words)
        await database.transact(lambda tx: tx.execute("insert into word values('a')"))
        assert database.writes == 1


async def test_units_never_overlap(tmp_path: Path) -> None:
    """Concurrent tasks with a read and a write have the result of sequential tasks."""

    def add_next(tx: sqlite3.Connection) -> None:
        (n,) = tx.execute("select count(*) from word").fetchone()
        tx.execute("insert into word values(?)", (f"{n:03}",))

    async with Database.open(tmp_path / "db", schema=SCHEMA) as database:
        await asyncio.gather(*(database.transact(add_next) for _ in range(50)))
        assert await database.read(words) == [f"{n:03}" for n in range(50)]


async def test_two_processes_may_write_to_the_same_file(tmp_path: Path) -> None:
    """Units with a read and a write wait for each other instead of failing halfway."""

    def add_next(tx: sqlite3.Connection) -> None:
        (n,) = tx.execute("select count(*) from word").fetchone()
        tx.execute("insert into word values(?)", (f"{n:03}",))

    async with (
        Database.open(tmp_path / "db", schema=SCHEMA) as one,
        Database.open(tmp_path / "db", schema=SCHEMA) as other,
    ):
        await asyncio.gather(*(each.transact(add_next) for _ in range(100) for each in (one, other)))
        assert await one.read(words) == [f"{n:03}" for n in range(200)]
        assert one.writes + other.writes == 200


async def test_committed_data_is_there_after_reopening(tmp_path: Path) -> None:
    """The schema is created once, and opening again keeps the data."""
    async with Database.open(tmp_path / "db", schema=SCHEMA) as database:
        await database.transact(lambda tx: tx.execute("insert into word values('a')"))
    async with Database.open(tmp_path / "db", schema=SCHEMA) as database:
        assert await database.read(words) == ["a"]


async def test_commits_are_flushed_to_disk(tmp_path: Path) -> None:
    """SQLite has accepted the settings for durability."""

    def settings(tx: sqlite3.Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys")
        return [tx.execute(f"pragma {name}").fetchone()[0] for name in names]

    async with Database.open(tmp_path / "db", schema=SCHEMA) as database:
        assert await database.transact(settings) == ["wal", 2, 1]


async def test_a_reader_cannot_write(tmp_path: Path) -> None:
    """The connection for reading is read-only in SQLite."""
    async with Database.open(tmp_path / "db", schema=SCHEMA) as database:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            await database.read(lambda tx: tx.execute("insert into word values('a')"))


async def test_business_code_cannot_end_its_transaction(tmp_path: Path) -> None:
    """A commit in the middle of a unit is an error, and does not split the unit silently."""
    async with Database.open(tmp_path / "db", schema=SCHEMA) as database:
        with pytest.raises(ContractError, match="remove `commit`"):
            await database.transact(lambda tx: tx.execute("commit"))
        assert await database.read(words) == []


async def test_a_full_disk_is_reported_and_changes_nothing(tmp_path: Path) -> None:
    """SQLite rolls back, and the caller gets the error of the disk."""
    async with Database.open(tmp_path / "db", schema=SCHEMA) as database:

        def fill(tx: sqlite3.Connection) -> None:
            tx.execute("insert into word values('first')")
            for n in range(100):
                tx.execute("insert into word values(?)", (f"{n}" * 4000,))

        await database.transact(lambda tx: tx.execute("insert into word values('kept')"))
        (pages,) = await database.read(lambda tx: tx.execute("pragma page_count").fetchone())
        # The pragma must run on the writer's connection, which only a unit of work reaches.
        await database.transact(lambda tx: tx.execute(f"pragma max_page_count={pages + 2}"))
        with pytest.raises(sqlite3.OperationalError, match="full"):
            await database.transact(fill)
        assert await database.read(words) == ["kept"]


async def test_a_file_that_is_not_a_database_is_refused(tmp_path: Path) -> None:
    """Opening fails with the reason of SQLite, and leaves neither threads nor connections."""
    (tmp_path / "db").write_text("not a database, but longer than a header of one hundred bytes" * 3)
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        async with Database.open(tmp_path / "db", schema=SCHEMA):
            pass
