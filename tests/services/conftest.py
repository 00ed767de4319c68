"""The real services, each as a process with its own database."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

NAMES = ("payment", "notification", "order", "inventory", "shipping")


@dataclass
class RunningService:
    """A service process, and a client of its HTTP API."""

    process: "subprocess.Popen[str]"
    database: Path
    url: str
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=self.url, timeout=10)

    def request(self, operation: str, message: Any, key: str) -> httpx.Response:
        return self.client.post(f"/{operation}", json=message, headers={"Idempotency-Key": key})

    def state(self, order_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.client.get(f"/state/{order_id}").raise_for_status().json()
        return answer

    def rows(self) -> dict[str, int]:
        """The number of rows per table, read from the database file."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as db:
            tables = db.execute("select name from sqlite_master where type = 'table'").fetchall()
            return {name: db.execute(f"select count(*) from {name}").fetchone()[0] for (name,) in tables}

    def stop(self) -> None:
        self.client.close()
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


StartService = Callable[[str, Path], RunningService]


def start_service(name: str, database: Path) -> RunningService:
    process = subprocess.Popen(
        [sys.executable, "-m", "examples.order.services", name, "--database", str(database)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    ready = process.stdout.readline()
    if " ready at " not in ready:
        _, errors = process.communicate(timeout=10)
        raise AssertionError(f"{name} did not start: {errors}")
    return RunningService(process, database, ready.split()[-1])


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, RunningService]]:
    """All five services, started once; each test uses orders of its own."""
    folder = tmp_path_factory.mktemp("services")
    with ExitStack() as stack:
        running: dict[str, RunningService] = {}
        for name in NAMES:
            running[name] = start_service(name, folder / f"{name}.sqlite3")
            stack.callback(running[name].stop)
        yield running


@pytest.fixture
def start() -> Iterator[StartService]:
    """Starts a service that the test may kill."""
    with ExitStack() as stack:

        def start_stopped_later(name: str, database: Path) -> RunningService:
            running = start_service(name, database)
            stack.callback(running.stop)
            return running

        yield start_stopped_later


_orders = count(1)


@pytest.fixture
def order_id() -> str:
    """The id of an order that no other test uses."""
    return f"order-{next(_orders)}"
