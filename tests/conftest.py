"""What every test may rely on: an environment that says nothing about this machine."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.rabbitmq_node import RabbitMQNode
from tests.required_programs import require_program
from workers import find_rabbitmq_program

COVERED = "covered"
"""The property of a test that is a line about what it has covered."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints what the sweeps have covered, in whichever process they have run."""
    lines = [
        line
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "teardown"
        for name, line in report.user_properties
        if name == COVERED
    ]
    if lines:
        terminalreporter.section("what the sweeps have covered")
    for line in lines:
        terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The settings of whoever runs the tests, and their own Temporal profiles, do not reach a test."""
    for name in os.environ:
        if name.startswith(("SAGAS_", "TEMPORAL_", "OTEL_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path / "no-temporal.toml"))


@pytest.fixture(scope="session")
def rabbitmq_program() -> None:
    """RabbitMQ is installed: without it, a visible skip at home and a failure in CI."""
    require_program(find_rabbitmq_program)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def rabbit(
    rabbitmq_program: None, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RabbitMQNode]:
    """A node on ports of its own; do not stop it: start another one for that."""
    async with RabbitMQNode(tmp_path_factory.mktemp("rabbitmq"), port=0) as node:
        yield node
