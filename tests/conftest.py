"""Fixtures of all tests, the samples of the sweeps, and an environment without settings of this machine."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.rabbitmq_node import RabbitMQNode
from tests.required_programs import require_program
from tests.sampling import Sampler, seed_of_today
from workers import find_rabbitmq_program

COVERED = "covered"
"""The name of a test's property with a line about the covered cases."""
REPORT = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options that choose the cases of the sweeps."""
    group = parser.getgroup("sweeps", "exhaustive tests, marked with `sweep`")
    group.addoption("--sweep-all", action="store_true", help="run all cases of every sweep, and no sample")
    group.addoption(
        "--sweep-seed", type=int, help="choose the samples of the sweeps; default: the current day"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Fixes the seed before the workers of pytest-xdist start, so that all processes share one seed."""
    if config.option.sweep_seed is None:
        config.option.sweep_seed = seed_of_today()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the sweeps first: pytest-xdist starts files in this order, and the longest files must be first."""
    items.sort(key=lambda item: item.get_closest_marker("sweep") is None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Prints the covered cases of the sweeps, and the seed that repeats the samples."""
    lines = [
        line
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "teardown"
        for name, line in report.user_properties
        if name == COVERED
    ]
    if lines:
        terminalreporter.section(f"sweeps: {sampler_of(config)}")
    for line in lines:
        terminalreporter.write_line(line)


def sampler_of(config: pytest.Config) -> Sampler:
    """The sampler for the options of the command line."""
    return Sampler(config.option.sweep_seed, is_exhaustive=config.option.sweep_all)


@pytest.fixture(scope="session")
def sampler(pytestconfig: pytest.Config) -> Sampler:
    """Chooses the cases of each sweep."""
    return sampler_of(pytestconfig)


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """The lines of the report, printed at the end of the test run."""
    lines = request.config.stash.setdefault(REPORT, [])
    yield lines
    request.node.user_properties += [(COVERED, line) for line in lines]
    lines.clear()


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Removes the settings and the Temporal profiles of the user who runs the tests."""
    for name in os.environ:
        if name.startswith(("SAGAS_", "TEMPORAL_", "OTEL_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path / "no-temporal.toml"))


@pytest.fixture(scope="session")
def rabbitmq_program() -> None:
    """Requires RabbitMQ: a missing program skips the test, and fails the test in CI."""
    require_program(find_rabbitmq_program)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def rabbit(
    rabbitmq_program: None, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RabbitMQNode]:
    """A RabbitMQ node on its own ports, shared by all tests of the session: a test must not stop the node."""
    async with RabbitMQNode(tmp_path_factory.mktemp("rabbitmq"), port=0) as node:
        yield node
