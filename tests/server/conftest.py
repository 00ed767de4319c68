"""A real Temporal server, shared by the tests of a session."""

from collections.abc import AsyncIterator
from typing import Protocol

import pytest
import pytest_asyncio
from temporalio.client import Client, Plugin

from tests.required_programs import require_program
from workers import EmbeddedTemporal, TemporalOptions
from workers._servers.temporal_server import find_temporal_program


class ConnectClient(Protocol):
    """Connects to the shared server with plugins."""

    async def __call__(self, *plugins: Plugin) -> Client:
        """Connects."""
        ...


@pytest.fixture(scope="session")
def temporal_program() -> None:
    """Requires the `temporal` program: a skip at home, and a failure in CI."""
    require_program(find_temporal_program)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def temporal(
    temporal_program: None, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[EmbeddedTemporal]:
    """A tuned server on ports of its own; tests that stop a server start their own."""
    options = TemporalOptions(port=0, ui_port=0)
    async with EmbeddedTemporal(tmp_path_factory.mktemp("temporal"), options=options) as server:
        yield server


@pytest.fixture
def connect_client(temporal: EmbeddedTemporal) -> ConnectClient:
    """Connects to the shared server with plugins."""

    async def connect(*plugins: Plugin) -> Client:
        return await Client.connect(temporal.address, plugins=plugins)

    return connect


@pytest_asyncio.fixture
async def client(connect_client: ConnectClient) -> Client:
    """A client of the shared server, without plugins."""
    return await connect_client()
