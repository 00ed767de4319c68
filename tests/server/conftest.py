"""A real Temporal server, shared by the tests of a session."""

from collections.abc import AsyncIterator
from typing import Protocol

import pytest
import pytest_asyncio
from temporalio.client import Client, Plugin

from tests.required_programs import require
from workers import EmbeddedTemporal, TemporalOptions, find_temporal


class ConnectClient(Protocol):
    """Connects to the shared server, with the plugins that a test gives to it."""

    async def __call__(self, *plugins: Plugin) -> Client:
        """Connects."""
        ...


@pytest.fixture(scope="session")
def temporal_program() -> None:
    """The `temporal` program is installed: without it, a visible skip at home and a failure in CI."""
    require(find_temporal)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def temporal(
    temporal_program: None, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[EmbeddedTemporal]:
    """A tuned server on ports of its own; do not stop it: start another one for that."""
    options = TemporalOptions(port=0, ui_port=0)
    async with EmbeddedTemporal(tmp_path_factory.mktemp("temporal"), options=options) as server:
        yield server


@pytest.fixture
def connect_client(temporal: EmbeddedTemporal) -> ConnectClient:
    """Connects to the shared server, with the plugins that the test gives to it."""

    async def connect(*plugins: Plugin) -> Client:
        return await Client.connect(temporal.address, plugins=plugins)

    return connect


@pytest_asyncio.fixture
async def client(connect_client: ConnectClient) -> Client:
    """A client of the shared server, without plugins."""
    return await connect_client()
