"""A real Temporal server for the sweeps, and a report of what they have covered."""

import time
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from examples.compare.stack import Stack
from sagas import SagaPlugin
from tests.conftest import COVERED
from tests.scenarios.conftest import stack
from tests.temporal.conftest import FLAGS, temporal_program

from .orders.order_batches import UndisturbedOrder, run_undisturbed

__all__ = ["stack", "temporal_program"]

# The server now and then forgets to wake who waits for an event; this is how long that lasts.
ASK_AGAIN = ["--dynamic-config-value", 'history.longPollExpirationInterval="2s"']

CONNECTIONS = 8
"""A connection carries some hundred requests at once: with more of them waiting for tasks and events, all
others would wait too."""

REPORT = pytest.StashKey[list[str]]()


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def sweep_clients(temporal_program: str) -> AsyncIterator[tuple[Client, ...]]:
    """Connections to a dev server in memory, with timers that fire at once; in the end it has 3 GB of it."""
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=temporal_program,
        dev_server_log_level="never",
        dev_server_extra_args=FLAGS + ASK_AGAIN,
    )
    async with environment:
        address = environment.client.service_client.config.target_host
        clients = [await Client.connect(address, plugins=[SagaPlugin()]) for _ in range(CONNECTIONS)]
        yield tuple(clients)
    # A process that ends right after its last worker may crash in the bridge (sdk-python #300).
    time.sleep(0.3)  # noqa: ASYNC251 - nothing else runs any more


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def undisturbed_orders(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> tuple[UndisturbedOrder, ...]:
    """An order that is fulfilled and one that is refused, left alone, with every point of both."""
    lines = pytestconfig.stash.setdefault(REPORT, [])
    return await run_undisturbed(stack, tmp_path_factory.mktemp("orders") / "undisturbed", lines)


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """The lines that are printed when all tests are through."""
    lines = request.config.stash.setdefault(REPORT, [])
    yield lines
    request.node.user_properties += [(COVERED, line) for line in lines]
    lines.clear()
