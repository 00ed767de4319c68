"""Reads the databases of the services from outside: the steps of each saga, with their times.

Reading costs the services no time. Both styles leave the same rows behind: the rows of the fence
(`saga_step`), under the same keys.
"""

import asyncio
import re
import sqlite3
import time
from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from examples.service_kit.service import Service

LOOK_BACK_MS = 5_000
"""A row is stamped before its commit; a row committed later than this after its stamp is overlooked."""

KEY = re.compile(r"(?P<saga>[^:/]+).*:(?P<address>[^:]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step of a saga, as recorded by the fence of a service.

    Args:
        action: The operation: `capture-payment`.
        state: `done`, `rejected`, `compensated` or `voided`.
        created_ms: The time of the first request, in milliseconds since 1970.
        updated_ms: The time of the last change of state, in milliseconds since 1970.
    """

    action: str
    state: str
    created_ms: int
    updated_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumedEvent:
    """An event or a command handled by a service.

    Args:
        at_ms: The time, in milliseconds since 1970.
        service: The service.
        event: The type of the event: `stock-reserved`.
    """

    at_ms: int
    service: str
    event: str


Steps = Mapping[str, Step]
"""The steps of a saga, by action."""


class ServiceDatabases:
    """The databases of all services, in read-only connections; gives the answers of the services' HTTP APIs.

    Args:
        services: The services by name.
        files: The SQLite file of each service.
    """

    def __init__(self, services: Mapping[str, Service], files: Mapping[str, Path]) -> None:
        self.urls = {name: file.as_uri() for name, file in files.items()}
        self._services = services
        self._connections = {name: _read_only(file) for name, file in files.items()}
        self._sagas: dict[str, dict[str, Step]] = {}
        self._refreshed_ms = 0
        self._balances: dict[str, dict[str, object]] = {}

    def close(self) -> None:
        """Closes the files."""
        for connection in self._connections.values():
            connection.close()

    async def get(self, service: str, path: str) -> dict[str, object]:
        """Gives the answer to `/state/{order_id}` or `/balance`; a balance is computed once."""
        # Other tasks may run first, as reading blocks.
        await asyncio.sleep(0)
        connection = self._connections[service]
        if path != "/balance":
            return self._services[service].state(connection, path.rpartition("/")[2])
        if service not in self._balances:
            self._balances[service] = _balance(self._services[service], connection)
        return self._balances[service]

    def steps(self, saga_id: str) -> Steps:
        """Returns the steps of a saga in all services, as of the last `refresh`."""
        return self._sagas.get(saga_id, {})

    def refresh(self) -> None:
        """Reads the changes in every service since the last refresh."""
        since, self._refreshed_ms = self._refreshed_ms - LOOK_BACK_MS, time.time_ns() // 1_000_000
        for connection in self._connections.values():
            rows = connection.execute(
                "select key, action, state, created_at, updated_at from saga_step where updated_at >= ?",
                (since,),
            )
            for key, action, state, created, updated in rows:
                if match := KEY.fullmatch(key):
                    step = Step(action=action, state=state, created_ms=created, updated_ms=updated)
                    self._sagas.setdefault(match["saga"], {})[action] = step

    def consumed_events(self, saga_id: str) -> list[ConsumedEvent]:
        """Reads every handled event and command of a saga, in order of time."""
        rows = [
            ConsumedEvent(at_ms=at, service=service, event=event)
            for service, connection in self._connections.items()
            for at, event in connection.execute(
                "select at, type from saga_inbox where saga_id = ?", (saga_id,)
            )
        ]
        return sorted(rows, key=lambda consumed: consumed.at_ms)

    def count_consumed(self, saga_ids: Collection[str]) -> int:
        """Counts the handled events and commands of some sagas, each once."""
        wanted, total = set(saga_ids), 0
        for connection in self._connections.values():
            rows = connection.execute("select saga_id, count(*) from saga_inbox group by saga_id")
            total += sum(int(count) for saga_id, count in rows if saga_id in wanted)
        return total

    def count(self, statement: str) -> dict[str, int]:
        """Returns the number selected by a query in each service; 0 without the table."""
        return {name: _number(connection, statement) for name, connection in self._connections.items()}


def _read_only(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, isolation_level=None)


def _balance(service: Service, connection: sqlite3.Connection) -> dict[str, object]:
    if service.balance is None:
        raise LookupError(f"the service {service.participant.name!r} has no balance")
    return service.balance(connection)


def _number(connection: sqlite3.Connection, statement: str) -> int:
    try:
        with closing(connection.execute(statement)) as rows:
            (number,) = rows.fetchone() or (0,)
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        return 0
    return int(number or 0)
