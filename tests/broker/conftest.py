"""A real RabbitMQ node, shared by the tests of a session."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.programs import require
from workers import EmbeddedRabbit, find_rabbitmq


@pytest.fixture(scope="session")
def rabbitmq_program() -> None:
    """RabbitMQ is installed: without it, a visible skip at home and a failure in CI."""
    require(find_rabbitmq)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def rabbit(
    rabbitmq_program: None, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[EmbeddedRabbit]:
    """A node on ports of its own; do not stop it: start another one for that."""
    async with EmbeddedRabbit(tmp_path_factory.mktemp("rabbitmq"), port=0) as node:
        yield node
