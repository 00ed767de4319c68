"""A stack of real processes, shared by the tests of a session: the services, a worker and both servers."""

import secrets
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from examples.order.deployment import DEPLOYMENT
from examples.stack.stack import Stack
from tests.server.conftest import temporal_program
from workers import Settings

__all__ = ["stack", "temporal_program"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stack(temporal_program: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """The running order deployment; a test that kills a process restarts the process."""
    settings = Settings(data_folder=tmp_path_factory.mktemp("stack"))
    async with Stack(settings, DEPLOYMENT, task_queue=f"scenarios-{secrets.token_hex(4)}") as running:
        yield running
