"""What every test may rely on: an environment that says nothing about this machine."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from .rabbit_node import RabbitNode


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The settings of whoever runs the tests, and their own Temporal profiles, do not reach a test."""
    for name in os.environ:
        if name.startswith(("SAGAS_", "TEMPORAL_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path / "no-temporal.toml"))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def rabbit(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RabbitNode]:
    """A RabbitMQ node shared by the tests of a session; do not stop it: start another one for that."""
    async with RabbitNode(tmp_path_factory.mktemp("rabbit")) as node:
        yield node
