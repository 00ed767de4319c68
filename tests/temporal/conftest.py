"""A real Temporal server for the workflow tests; each test ends with a replay of all workflows."""

import os
import shutil
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from sagas import SagaPlugin

from .fixtures.worker_harness import WORKFLOWS, WorkerHarness

BARE_FLAGS = [
    "--dynamic-config-value",
    "frontend.WorkflowTimeSkippingEnabled=true",
    "--dynamic-config-value",
    "frontend.WorkflowPauseEnabled=true",
    "--dynamic-config-value",
    'history.timerProcessorMaxTimeShift="5ms"',
    "--dynamic-config-value",
    "history.transferProcessorMaxPollRPS=2000",
    "--dynamic-config-value",
    "history.timerProcessorMaxPollRPS=2000",
    # A failing workflow task is reported at the first failure.
    "--dynamic-config-value",
    "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute=1",
    # Each test has its own task queues: four partitions of each would cost the server a fifth of its time.
    "--dynamic-config-value",
    "matching.numTaskqueueReadPartitions=1",
    "--dynamic-config-value",
    "matching.numTaskqueueWritePartitions=1",
]
FLAGS = [
    *("--search-attribute", "SagaStatus=Keyword"),
    # Stands for the attributes of users.
    *("--search-attribute", "Customer=Keyword"),
    *BARE_FLAGS,
]


@pytest.fixture(scope="session")
def temporal_program() -> str:
    """The `temporal` program: without it, a visible skip at home and a failure in CI."""
    beside = Path(sys.executable).parent / "temporal"
    program = str(beside) if beside.exists() else shutil.which("temporal")
    if program is None:
        give_up = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        give_up("no `temporal` program: install the extra `server`")
    return program


@asynccontextmanager
async def running_server(program: str, flags: list[str]) -> AsyncIterator[str]:
    """The address of a dev server in memory, with timers that fire at once."""
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=program, dev_server_log_level="never", dev_server_extra_args=flags
    )
    async with environment:
        yield environment.client.service_client.config.target_host
    # A process that ends right after the last worker may crash in the bridge (sdk-python #300).
    time.sleep(0.3)  # noqa: ASYNC251 - no other task runs


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def server(temporal_program: str) -> AsyncIterator[str]:
    """The address of a server with the search attribute of sagas."""
    async with running_server(temporal_program, FLAGS) as address:
        yield address


@pytest.fixture
async def client(server: str) -> Client:
    """A client with the plugin, as users connect."""
    return await Client.connect(server, plugins=[SagaPlugin()])


CACHES = (
    pytest.param(1000, id="cached"),
    # The replay at the end of each test finds most of the same faults: `make sweeps` runs these.
    pytest.param(0, id="evicted", marks=pytest.mark.sweep),
)


@pytest.fixture(params=CACHES)
async def harness(
    request: pytest.FixtureRequest, client: Client, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[WorkerHarness]:
    """A harness with one worker; with `evicted`, every workflow task is a replay from the start."""
    # Each worker imports each workflow class into the sandbox, so a module lists the classes of its tests.
    harness = WorkerHarness(
        client, cache=request.param, workflows=getattr(request.module, "WORKFLOWS", WORKFLOWS)
    )
    await harness.start_worker()
    yield harness
    await harness.stop_workers()
    await harness.terminate_open()
    await harness.replay_all()
    lines = [record.getMessage() for phase in ("call", "teardown") for record in caplog.get_records(phase)]
    assert not [line for line in lines if line.startswith("Failed running eviction job")]
