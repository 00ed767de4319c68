"""The code of docs/running.md: a worker process, a participant over HTTP, and a test with a server."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from asyncio.subprocess import DEVNULL
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion

from sagas import Operation, SagaPlugin, start_saga
from tests.guide_code import DOCS, guide_modules
from tests.waiting import until
from tests.worker_versions import until_registered, version_of
from workers import ChildProcess, EmbeddedTemporal
from workers._servers.temporal_server import find_temporal_program

PAGE = "running.md"
ROOT = DOCS.parent


class Room(BaseModel):
    """A room in a hotel."""

    number: int


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The modules of the page, and trip.py of the README, in a folder of a user's project."""
    trip = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[0]
    for name, code in {"trip": trip, **guide_modules(PAGE)}.items():
        (tmp_path / f"{name}.py").write_text(code)
    return tmp_path


async def test_the_worker_polls_and_ends_on_sigterm(temporal: EmbeddedTemporal, folder: Path) -> None:
    """The exit code is 0."""
    worker = ChildProcess(
        [sys.executable, "trip_worker.py"],
        name="the worker",
        log=folder / "worker.log",
        environment={"PYTHONPATH": str(ROOT), "TEMPORAL_ADDRESS": temporal.address},
        working_directory=folder,
    )
    async with worker:
        await until(lambda: "polls task queue 'trips'" in worker.last_log_lines() or not worker.is_running)

        os.kill(worker.pid, signal.SIGTERM)

        assert await worker.wait() == 0, worker.last_log_lines()


async def test_a_pinned_saga_runs_on_the_version_that_the_command_makes_current(
    temporal: EmbeddedTemporal, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker registers the version; the saga is compensated on the version."""
    monkeypatch.syspath_prepend(folder)  # pyright: ignore[reportUnknownMemberType] - pytest types it loosely
    version = WorkerDeploymentVersion(deployment_name="trips", build_id="2")
    (command,) = re.findall(r"^temporal (worker deployment .*)$", (DOCS / PAGE).read_text(), re.MULTILINE)
    client = await Client.connect(temporal.address, plugins=[SagaPlugin()])
    modules = {name: import_module(name) for name in ("trip", "versioned_worker")}
    try:
        async with modules["versioned_worker"].versioned_worker(client, version.build_id):
            await until_registered(client, version)
            made_current = await asyncio.create_subprocess_exec(
                find_temporal_program(), *command.split(), "--address", temporal.address, stdout=DEVNULL
            )
            assert await made_current.wait() == 0
            trip = await start_saga(
                client, modules["trip"].TripSaga.run, "Ada", id="trip-of-version-2", task_queue="trips"
            )
            with pytest.raises(WorkflowFailureError):
                await trip.result()
    finally:
        for name in modules:
            del sys.modules[name]

    assert await version_of(client, trip.id) == (VersioningBehavior.PINNED, "2")


async def test_the_participant_is_called_at_its_path() -> None:
    """The request has the headers and the credentials of the page."""
    requests: list[httpx.Request] = []

    def serve(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, json={"number": 7})

    book_room = Operation(name="book-room", participant="booking", message=Room, result=Room)
    module: dict[str, Any] = {}
    exec(guide_modules(PAGE)["booking"], module)
    async with httpx.AsyncClient(transport=httpx.MockTransport(serve)) as client:
        participant = module["connect_booking"](client)
        await participant.call(book_room, Room(number=7), "trip-1:book-room")

    (request,) = requests
    assert str(request.url) == "https://gateway.example/api/booking/book-room"
    assert request.headers["X-Tenant"] == "north"
    assert request.headers["Authorization"].startswith("Basic ")


def test_the_test_of_the_page_passes(temporal_program: None, folder: Path) -> None:
    """The trip is compensated on a server of its own."""
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-o", "asyncio_mode=auto", "test_trip.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout
    assert "1 passed" in ended.stdout
