"""`sagas dev` as a process, stopped by a signal."""

import os
import re
import signal
import socket
import sys
from pathlib import Path

import pytest

from tests.waiting import is_alive, until
from workers import ChildProcess
from workers._servers.temporal_server import find_running_temporal

pytestmark = pytest.mark.usefixtures("temporal_program")


def sagas_dev(tmp_path: Path, **environment: str) -> ChildProcess:
    return ChildProcess(
        [sys.executable, "-m", "workers", "dev", "--no-broker"],
        name="sagas dev",
        log=tmp_path / "dev.log",
        environment={"SAGAS_DATA_FOLDER": str(tmp_path / "data"), **environment},
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_addresses_are_printed_and_a_signal_stops_everything(
    tmp_path: Path, number: signal.Signals
) -> None:
    """The printed addresses are valid, the exit code is 0, and no process is left."""
    async with sagas_dev(tmp_path) as dev:
        await until(lambda: "Ready" in dev.last_log_lines())
        found = find_running_temporal(tmp_path / "data")
        assert found is not None
        export = f"export TEMPORAL_ADDRESS={found.address}"
        for text in (export, found.ui_url, str(tmp_path / "data" / "temporal.log")):
            assert text in dev.last_log_lines()

        os.kill(dev.pid, number)

        assert await dev.wait() == 0
        assert not is_alive(found.pid)


async def test_ports_in_use_are_named(tmp_path: Path) -> None:
    """The address to export has the other port, and a file forgets the port."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        async with sagas_dev(tmp_path, SAGAS_TEMPORAL_PORT=str(taken)) as dev:
            await until(lambda: "Ready" in dev.last_log_lines())
            output = dev.last_log_lines()

    (port,) = re.findall(r"export TEMPORAL_ADDRESS=127.0.0.1:(\d+)$", output, re.MULTILINE)
    assert f"Port {taken} was in use: port {port} is used instead, and at later starts." in output
    assert f"To try again, delete {tmp_path / 'data' / 'temporal-ports.json'}" in output


async def test_the_death_of_the_server_ends_the_command(tmp_path: Path) -> None:
    """The error names the signal, and the exit code is 1."""
    async with sagas_dev(tmp_path) as dev:
        await until(lambda: "Ready" in dev.last_log_lines())
        found = find_running_temporal(tmp_path / "data")
        assert found is not None

        os.kill(found.pid, signal.SIGKILL)

        assert await dev.wait() == 1
        assert "error: the Temporal server was killed by SIGKILL" in dev.last_log_lines(50)


async def test_a_second_command_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    """The error says how to continue, and the exit code is 1."""
    async with sagas_dev(tmp_path) as first:
        await until(lambda: "Ready" in first.last_log_lines())
        second = ChildProcess(
            [sys.executable, "-m", "workers", "dev", "--no-broker", "--data", str(tmp_path / "data")],
            name="the second",
            log=tmp_path / "second.log",
        )
        second.start()

        assert await second.wait() == 1
        assert "is in use by another server" in second.last_log_lines()


async def test_no_server_is_started_when_another_is_configured(tmp_path: Path) -> None:
    """The output names the configured server."""
    async with sagas_dev(tmp_path, TEMPORAL_ADDRESS="temporal.example:7233") as dev:
        assert await dev.wait() == 0
        assert "temporal.example:7233" in dev.last_log_lines()
        assert not (tmp_path / "data").exists()


async def test_an_unusable_setting_is_one_sentence(tmp_path: Path) -> None:
    """The exit code is 2."""
    async with sagas_dev(tmp_path, SAGAS_UI_PORT="nine") as dev:
        assert await dev.wait() == 2
        assert dev.last_log_lines().startswith("error: SAGAS_UI_PORT is 'nine'")
