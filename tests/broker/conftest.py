"""A RabbitMQ node for tests that kill the node."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.rabbitmq_node import RabbitMQNode


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_mortal(
    rabbitmq_program: None, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RabbitMQNode]:
    """The node, started once, because a start takes seconds."""
    async with RabbitMQNode(tmp_path_factory.mktemp("mortal"), port=0) as node:
        yield node


@pytest_asyncio.fixture
async def mortal(shared_mortal: RabbitMQNode) -> AsyncIterator[RabbitMQNode]:
    """A node that a test may kill and restart; restarted for the next test."""
    yield shared_mortal
    if not shared_mortal.process.is_running:
        await shared_mortal.restart()
