"""A RabbitMQ node for tests with crashes of the broker."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.rabbitmq_node import RabbitMQNode

from .shop import Shop


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_crashable(
    rabbitmq_program: None, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RabbitMQNode]:
    """The node of all tests: a start takes seconds."""
    async with RabbitMQNode(tmp_path_factory.mktemp("crashable"), port=0) as node:
        yield node


@pytest_asyncio.fixture
async def crashable(shared_crashable: RabbitMQNode) -> AsyncIterator[RabbitMQNode]:
    """A node for crashes and restarts; the node runs again for the next test."""
    yield shared_crashable
    if not shared_crashable.process.is_running:
        await shared_crashable.restart()


@pytest.fixture
def shop() -> Shop:
    return Shop()
