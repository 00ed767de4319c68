"""The services' databases, read from outside: how each saga stands, and when what happened.

Nothing is asked of the services themselves, so that to look costs them nothing. What is read is what both
styles leave behind alike: the rows of the fence (`saga_step`), under the same keys.
"""

import asyncio
import re
import sqlite3
import time
from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from examples.service_kit.http_api import Service
from examples.service_kit.process import SERVICES

LOOK_BACK_MS = 5_000
"""A row is stamped before its commit; one that is committed later than this after its stamp is overlooked."""

KEY = re.compile(r"(?P<saga>[^:/]+).*:(?P<address>[^:]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What the fence of a service knows of one step of a saga.

    Args:
        action: The operation, such as `capture-payment`.
        state: `done`, `failed`, `compensated` or `fenced`.
        created_ms: When it was first asked for, in milliseconds since 1970.
        updated_ms: When it came to its state.
    """

    action: str
    state: str
    created_ms: int
    updated_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A service has taken in an event, and done what it does on it.

    Args:
        at_ms: When, in milliseconds since 1970.
        service: Who heard it.
        event: What it is about: `stock-reserved`.
    """

    at_ms: int
    service: str
    event: str


Steps = Mapping[str, Step]
"""What is known of one saga, by action."""


class Records:
    """The databases of all services, in read-only connections; answers what the services would answer.

    Args:
        files: The SQLite file of each service.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        self.urls = {name: file.as_uri() for name, file in files.items()}
        self._open = {name: _read_only(file) for name, file in files.items()}
        self._sagas: dict[str, dict[str, Step]] = {}
        self._seen_ms = 0
        self._balances: dict[str, dict[str, object]] = {}

    def close(self) -> None:
        """Closes the files."""
        for connection in self._open.values():
            connection.close()

    async def get(self, service: str, path: str) -> dict[str, object]:
        """What a service would answer to `/state/{order_id}` or `/balance`; a balance is drawn up once."""
        # A chance for others, as reading blocks.
        await asyncio.sleep(0)
        tx, answers = self._open[service], SERVICES[service]
        if path != "/balance":
            return answers.state(tx, path.rpartition("/")[2])
        if service not in self._balances:
            self._balances[service] = _balance(answers, tx)
        return self._balances[service]

    def steps(self, saga_id: str) -> Steps:
        """What all services know of a saga, as of the last `refresh`."""
        return self._sagas.get(saga_id, {})

    def refresh(self) -> None:
        """Reads what has changed in any service since the last time."""
        since, self._seen_ms = self._seen_ms - LOOK_BACK_MS, time.time_ns() // 1_000_000
        for connection in self._open.values():
            rows = connection.execute(
                "select key, action, state, created_at, updated_at from saga_step where updated_at >= ?",
                (since,),
            )
            for key, action, state, created, updated in rows:
                if match := KEY.fullmatch(key):
                    step = Step(action=action, state=state, created_ms=created, updated_ms=updated)
                    self._sagas.setdefault(match["saga"], {})[action] = step

    def heard(self, saga_id: str) -> list[Heard]:
        """Every event and command of a saga that a service has taken in, in their order."""
        rows = [
            Heard(at_ms=at, service=service, event=event)
            for service, connection in self._open.items()
            for at, event in connection.execute(
                "select at, type from saga_inbox where saga_id = ?", (saga_id,)
            )
        ]
        return sorted(rows, key=lambda heard: heard.at_ms)

    def deliveries(self, saga_ids: Collection[str]) -> int:
        """How many events and commands of some sagas the services have taken in, each once."""
        wanted, total = set(saga_ids), 0
        for connection in self._open.values():
            rows = connection.execute("select saga_id, count(*) from saga_inbox group by saga_id")
            total += sum(int(count) for saga_id, count in rows if saga_id in wanted)
        return total

    def count(self, statement: str) -> dict[str, int]:
        """The single number that a query gives in each service; 0 where its table does not exist."""
        return {name: _number(connection, statement) for name, connection in self._open.items()}


def _read_only(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, isolation_level=None)


def _balance(service: Service, tx: sqlite3.Connection) -> dict[str, object]:
    if service.balance is None:
        raise LookupError(f"{service.participant.name!r} has nothing to balance")
    return service.balance(tx)


def _number(connection: sqlite3.Connection, statement: str) -> int:
    try:
        with closing(connection.execute(statement)) as rows:
            (number,) = rows.fetchone() or (0,)
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        return 0
    return int(number or 0)
