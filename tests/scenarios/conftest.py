"""The services, a worker and a Temporal server as real processes, shared by the tests of a session."""

import secrets
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from examples.stack.stack import Stack
from tests.server.conftest import temporal_program
from workers import Settings

__all__ = ["stack", "temporal_program"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stack(temporal_program: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """Everything that the examples need; a test that kills some of it starts it again."""
    settings = Settings(data_folder=tmp_path_factory.mktemp("stack"))
    async with Stack(settings, task_queue=f"scenarios-{secrets.token_hex(4)}") as running:
        yield running
