"""A participant's SQLite database: a unit of work is one transaction, run as one piece in one writer thread.

One writer thread, and a whole unit per hop to it, measured five times the throughput of a hop per
statement; SQLite has one writer at a time anyway.
"""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import copy_context
from pathlib import Path
from typing import Self, TypeVar

from .._errors import ContractError

T = TypeVar("T")

BUSY_TIMEOUT_MS = 10_000
"""How long a writer waits for another process that writes to the same file."""


def connect(path: Path | str, *, schema: str = "") -> sqlite3.Connection:
    """A connection with the durability that the promises need; `":memory:"` is for tests and simulation.

    Args:
        path: The file; it is created when missing, its folder is not.
        schema: SQL that creates what is missing (`create table if not exists`), run in one transaction.
    """
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute(f"pragma busy_timeout={BUSY_TIMEOUT_MS}")
        connection.execute("pragma journal_mode=wal")
        # FULL: in WAL mode NORMAL may lose acknowledged commits when the machine loses power.
        connection.execute("pragma synchronous=full")
        connection.execute("pragma foreign_keys=on")
        if schema:
            connection.executescript(f"begin immediate;\n{schema}\ncommit;")
    except BaseException:
        connection.close()
        raise
    return connection


def unit_of_work(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    """Commits everything that `work` did, or nothing of it if it raises.

    Raises:
        ContractError: `work` ended the transaction itself.
    """
    connection.execute("begin immediate")
    try:
        result = work(connection)
        _commit(connection)
    except BaseException:
        # A full disk makes SQLite end the transaction by itself; a second rollback would hide the cause.
        if connection.in_transaction:
            connection.execute("rollback")
        raise
    return result


def _commit(connection: sqlite3.Connection) -> None:
    if not connection.in_transaction:
        raise ContractError("business code must leave commit and rollback to its unit of work")
    connection.execute("commit")


class Database:
    """One SQLite file, written by one thread and read by another.

    Guarantees: a unit of work is committed with `synchronous=FULL` before `transact` returns; units run
    one after the other; one that has begun runs to its end even if the task that waits for it is cancelled.
    """

    def __init__(self, path: Path, *, schema: str) -> None:
        self._path, self._schema = path, schema
        self._writing = ThreadPoolExecutor(1, thread_name_prefix=f"write-{path.stem}")
        self._reading = ThreadPoolExecutor(1, thread_name_prefix=f"read-{path.stem}")
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._writes = 0

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path, *, schema: str) -> AsyncGenerator[Self, None]:
        """Opens or creates the file, creates what its schema misses, and closes it at the end.

        Raises:
            sqlite3.Error: The file cannot be opened, or is no database.
        """
        database = cls(path, schema=schema)
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(database._writing, database._connect_writer)
            await loop.run_in_executor(database._reading, database._connect_reader)
            yield database
        finally:
            await asyncio.shield(loop.run_in_executor(None, database._close))

    @property
    def writes(self) -> int:
        """How many transactions that changed something this process has committed."""
        return self._writes

    async def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `work` in a write transaction: committed when this returns, rolled back when it raises."""
        # What is traced in the writer's thread belongs to whoever asked for it.
        asked_in = copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._writing, lambda: asked_in.run(self._write, work))

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `work` on one consistent, read-only view of what is committed, without waiting for writers."""
        return await asyncio.get_running_loop().run_in_executor(self._reading, self._read, work)

    def _connect_writer(self) -> None:
        self._writer = connect(self._path, schema=self._schema)

    def _connect_reader(self) -> None:
        self._reader = connect(self._path)
        self._reader.execute("pragma query_only=on")

    def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        assert self._writer is not None
        before = self._writer.total_changes
        result = unit_of_work(self._writer, work)
        self._writes += self._writer.total_changes > before
        return result

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        assert self._reader is not None
        self._reader.execute("begin")
        try:
            return work(self._reader)
        finally:
            self._reader.execute("rollback")

    def _close(self) -> None:
        """Waits for the units that have begun, then closes each connection in the thread that owns it."""
        for thread, connection in ((self._reading, self._reader), (self._writing, self._writer)):
            if connection is not None:
                thread.submit(connection.close).result()
            thread.shutdown()
