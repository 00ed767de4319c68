"""`sagas dev` with a broker, as a process, stopped by a signal."""

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.required_programs import require_program
from tests.waiting import is_alive, until
from workers import ChildProcess
from workers._servers.rabbitmq_node import find_running_rabbitmq
from workers._servers.temporal_server import find_running_temporal, find_temporal_program

BOOT = 90.0
"""Seconds in which both servers are up, also on a busy machine."""


@pytest.fixture(scope="module", autouse=True)
def both_programs(rabbitmq_program: None) -> None:
    """Requires Temporal and RabbitMQ."""
    require_program(find_temporal_program)


def sagas_dev(tmp_path: Path, *flags: str, **environment: str) -> ChildProcess:
    return ChildProcess(
        [sys.executable, "-m", "workers", "dev", *flags],
        name="sagas dev",
        log=tmp_path / "dev.log",
        environment={"SAGAS_DATA_FOLDER": str(tmp_path / "data"), **environment},
    )


async def test_both_servers_run_and_stop(tmp_path: Path) -> None:
    """Addresses are printed without the password, and a signal stops both servers with exit code 0."""
    async with sagas_dev(tmp_path) as dev:
        await until(lambda: "Ready" in dev.last_log_lines(), within=BOOT)
        temporal, broker = find_running_temporal(tmp_path / "data"), find_running_rabbitmq(tmp_path / "data")
        assert temporal is not None
        assert broker is not None
        user, _, host = broker.url.partition("@")
        for text in (temporal.address, f"amqp://sagas@{host}", str(tmp_path / "data" / "rabbitmq.json")):
            assert text in dev.last_log_lines()
        assert user.rpartition(":")[2] not in dev.log.read_text()

        os.kill(dev.pid, signal.SIGINT)

        assert await dev.wait() == 0
        assert "Stopped." in dev.last_log_lines()
        assert not is_alive(temporal.pid)
        assert not is_alive(broker.pid)


async def test_the_death_of_the_broker_ends_the_command(tmp_path: Path) -> None:
    """Temporal is stopped too, and the exit code is 1."""
    async with sagas_dev(tmp_path) as dev:
        await until(lambda: "Ready" in dev.last_log_lines(), within=BOOT)
        temporal, broker = find_running_temporal(tmp_path / "data"), find_running_rabbitmq(tmp_path / "data")
        assert temporal is not None
        assert broker is not None

        os.kill(broker.pid, signal.SIGKILL)

        assert await dev.wait() == 1
        assert "error: the RabbitMQ node was killed by SIGKILL" in dev.last_log_lines(50)
        assert not is_alive(temporal.pid)


async def test_only_the_broker_runs_beside_a_configured_temporal(tmp_path: Path) -> None:
    """A Temporal cluster does not replace the broker."""
    async with sagas_dev(tmp_path, TEMPORAL_ADDRESS="temporal.example:7233") as dev:
        await until(lambda: "Ready" in dev.last_log_lines(), within=BOOT)

        assert "temporal.example:7233" in dev.last_log_lines()
        assert find_running_temporal(tmp_path / "data") is None
        assert find_running_rabbitmq(tmp_path / "data") is not None


async def test_no_broker_is_started_when_another_is_configured(tmp_path: Path) -> None:
    """The output names the configured broker without its password."""
    url = "amqps://shop:top-secret@broker.example/shop"
    async with sagas_dev(tmp_path, SAGAS_AMQP_URL=url) as dev:
        await until(lambda: "Ready" in dev.last_log_lines())

        assert "SAGAS_AMQP_URL names the broker at amqps://shop@broker.example/shop" in dev.last_log_lines()
        assert "top-secret" not in dev.log.read_text()
        assert find_running_rabbitmq(tmp_path / "data") is None
