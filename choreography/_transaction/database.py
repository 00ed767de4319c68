"""A participant's SQLite database: each unit of work is a transaction in the writer thread.

Running a whole unit per hop to the writer thread had five times the throughput of a hop per statement, in a
measurement of this project; SQLite allows a single writer at a time anyway.
"""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import copy_context
from datetime import datetime
from pathlib import Path
from typing import Self, TypeVar

from .._errors import ContractError

T = TypeVar("T")

BUSY_TIMEOUT_MS = 10_000
"""Milliseconds for which a writer waits for another process that writes to the same file."""


def open_connection(path: Path | str, *, schema: str = "") -> sqlite3.Connection:
    """Opens a connection with durable commits; `":memory:"` is for tests and simulations.

    Args:
        path: The file, created when missing; the folder must exist.
        schema: SQL for missing tables (`create table if not exists`), run in a transaction.
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


def run_in_transaction(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    """Runs `work` in a write transaction: commits when `work` returns, rolls back when `work` raises.

    Raises:
        ContractError: `work` ended the transaction.
    """
    connection.execute("begin immediate")
    try:
        result = work(connection)
        _commit(connection)
    except BaseException:
        # On a full disk SQLite rolls back by itself; a second rollback would hide the cause.
        if connection.in_transaction:
            connection.execute("rollback")
        raise
    return result


def to_milliseconds(moment: datetime) -> int:
    """Converts a point in time to milliseconds since 1970, as stored in every table of this package."""
    return int(moment.timestamp() * 1000)


def _commit(connection: sqlite3.Connection) -> None:
    if not connection.in_transaction:
        raise ContractError(
            "business code ended its transaction: remove `commit` and `rollback` from the business code"
        )
    connection.execute("commit")


class Database:
    """An SQLite file with a writer thread and a reader thread.

    Guarantees: a unit of work is committed with `synchronous=FULL` before `transact` returns; units run
    sequentially; a running unit runs to its end even if the waiting task is cancelled.
    """

    def __init__(self, path: Path, *, schema: str) -> None:
        self._path, self._schema = path, schema
        self._writer_thread = ThreadPoolExecutor(1, thread_name_prefix=f"write-{path.stem}")
        self._reader_thread = ThreadPoolExecutor(1, thread_name_prefix=f"read-{path.stem}")
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._writes = 0

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path, *, schema: str) -> AsyncGenerator[Self, None]:
        """Opens or creates the file with the missing tables of `schema`, and closes the file at the end.

        Raises:
            sqlite3.Error: The file cannot be opened, or is not a database.
        """
        database = cls(path, schema=schema)
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(database._writer_thread, database._open_writer)
            await loop.run_in_executor(database._reader_thread, database._open_reader)
            yield database
        finally:
            await asyncio.shield(loop.run_in_executor(None, database._close))

    @property
    def writes(self) -> int:
        """The number of committed transactions with changes, of this process."""
        return self._writes

    async def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `work` in a write transaction: commits before the return, rolls back when `work` raises."""
        # Spans that start in the writer thread get the caller's span as their parent.
        context = copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._writer_thread, lambda: context.run(self._write, work))

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `work` on a consistent, read-only snapshot of committed data, without waiting for writers."""
        return await asyncio.get_running_loop().run_in_executor(self._reader_thread, self._read, work)

    def _open_writer(self) -> None:
        self._writer = open_connection(self._path, schema=self._schema)

    def _open_reader(self) -> None:
        self._reader = open_connection(self._path)
        self._reader.execute("pragma query_only=on")

    def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        assert self._writer is not None
        before = self._writer.total_changes
        result = run_in_transaction(self._writer, work)
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
        """Waits for running units, then closes each connection in the thread of the connection."""
        for thread, connection in ((self._reader_thread, self._reader), (self._writer_thread, self._writer)):
            if connection is not None:
                thread.submit(connection.close).result()
            thread.shutdown()
