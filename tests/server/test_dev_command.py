"""`sagas dev` as a person runs it: as a process, stopped by a signal."""

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.waiting import is_alive, until
from workers import ChildProcess, find_running_server

pytestmark = pytest.mark.usefixtures("temporal_program")


def sagas_dev(tmp_path: Path, **environment: str) -> ChildProcess:
    return ChildProcess(
        [sys.executable, "-m", "workers", "dev", "--no-broker"],
        name="sagas dev",
        log=tmp_path / "dev.log",
        environment={"SAGAS_DATA_FOLDER": str(tmp_path / "data"), **environment},
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_says_where_everything_is_and_ends_well(tmp_path: Path, number: signal.Signals) -> None:
    """The lines it prints are true, and a signal ends it with 0 and leaves nothing running."""
    async with sagas_dev(tmp_path) as dev:
        await until(lambda: "Ready" in dev.last_log_lines())
        found = find_running_server(tmp_path / "data")
        assert found is not None
        for told in (found.address, found.ui_url, str(tmp_path / "data" / "temporal.log")):
            assert told in dev.last_log_lines()

        os.kill(dev.pid, number)

        assert await dev.wait() == 0
        assert not is_alive(found.pid)


async def test_it_notices_that_its_server_died(tmp_path: Path) -> None:
    """A person does not look at a dead server."""
    async with sagas_dev(tmp_path) as dev:
        await until(lambda: "Ready" in dev.last_log_lines())
        found = find_running_server(tmp_path / "data")
        assert found is not None

        os.kill(found.pid, signal.SIGKILL)

        assert await dev.wait() == 1
        assert "error: the Temporal server was killed by SIGKILL" in dev.last_log_lines(50)


async def test_a_second_one_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    """It ends with 1 and says what to do."""
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


async def test_it_starts_none_where_another_server_is_configured(tmp_path: Path) -> None:
    """Two servers, one of which nobody talks to, would only confuse."""
    async with sagas_dev(tmp_path, TEMPORAL_ADDRESS="temporal.example:7233") as dev:
        assert await dev.wait() == 0
        assert "temporal.example:7233" in dev.last_log_lines()
        assert not (tmp_path / "data").exists()


async def test_a_bad_setting_is_a_sentence_and_code_2(tmp_path: Path) -> None:
    """No traceback for a typing error."""
    async with sagas_dev(tmp_path, SAGAS_UI_PORT="nine") as dev:
        assert await dev.wait() == 2
        assert dev.last_log_lines().startswith("error: SAGAS_UI_PORT is 'nine'")
