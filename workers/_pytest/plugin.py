"""Fixtures for tests of sagas, found by pytest through the entry point `pytest11`."""

import asyncio
from collections.abc import Coroutine, Iterator
from typing import TypeVar

import pytest
from temporalio.client import Client

from sagas import SagaPlugin

from .._cli.exit_codes import wait_for_client_threads
from .._errors import MissingProgramError
from .._servers.temporal_options import TemporalOptions
from .._servers.temporal_server import EmbeddedTemporal

T = TypeVar("T")


@pytest.fixture(scope="session")
def saga_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Temporal server that skips time; the server ends with the test session.

    Override the fixture to test on a server of your own.
    """
    server = EmbeddedTemporal(tmp_path_factory.mktemp("temporal"), options=TemporalOptions.for_tests())
    try:
        _run(server.start())
    except MissingProgramError as error:
        pytest.fail(str(error), pytrace=False)
    yield server.address
    # Nothing of a test has to be kept: a graceful stop would take a second.
    server.kill()
    _run(server.stop())
    wait_for_client_threads()


@pytest.fixture
def saga_client(saga_server: str) -> Client:
    """A client of the server, with `SagaPlugin`.

    Override the fixture for a client with another data converter or other plugins.
    """
    return _run(Client.connect(saga_server, plugins=[SagaPlugin()]))


def _run(work: Coroutine[object, object, T]) -> T:
    """Runs a coroutine in a loop of its own: the fixtures work with every async plugin of pytest."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()
