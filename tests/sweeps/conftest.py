"""A real Temporal server for the sweeps, the undisturbed orders, and the report of the covered cases."""

import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from examples.stack.stack import Stack
from sagas import SagaPlugin
from tests.conftest import REPORT
from tests.scenarios.conftest import stack
from tests.temporal.conftest import FLAGS, temporal_program

from .orders.order_batches import BaselineOrder, run_baseline_orders
from .trips.saga_shapes import SagaShape

__all__ = ["stack", "temporal_program"]

# The server sometimes loses the wake-up of a long poll; this setting limits the delay.
SHORT_LONG_POLLS = ["--dynamic-config-value", 'history.longPollExpirationInterval="2s"']

CONNECTIONS = 8
"""One connection carries some hundred requests at once: more long polls would block all other requests."""


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def sweep_clients(temporal_program: str) -> AsyncIterator[tuple[Client, ...]]:
    """Connections to an in-memory dev server with timers that fire at once; all cases need 3 GB of memory."""
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=temporal_program,
        dev_server_log_level="never",
        dev_server_extra_args=FLAGS + SHORT_LONG_POLLS,
    )
    async with environment:
        address = environment.client.service_client.config.target_host
        clients = [await Client.connect(address, plugins=[SagaPlugin()]) for _ in range(CONNECTIONS)]
        yield tuple(clients)
    # A process that ends right after the last worker may crash in the bridge (sdk-python #300).
    time.sleep(0.3)  # noqa: ASYNC251 - no other task runs


@pytest.fixture(scope="module")
def selected_shapes(request: pytest.FixtureRequest) -> list[SagaShape]:
    """The shapes of the selected tests of a module, in the order of the tests."""
    tests = (item for item in request.session.items if item.path == request.path)
    parameters = [item.callspec.params for item in tests if hasattr(item, "callspec")]
    return [each["shape"] for each in parameters if "shape" in each]


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def baseline_orders(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> tuple[BaselineOrder, ...]:
    """A shipped and a rejected order, undisturbed, with the interruption points of both."""
    lines = pytestconfig.stash.setdefault(REPORT, [])
    return await run_baseline_orders(stack, tmp_path_factory.mktemp("orders") / "undisturbed", lines)
