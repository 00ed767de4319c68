"""A child process starts, stops, crashes and restarts, and never outlives its parent."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from tests.waiting import is_alive, until
from workers import ChildProcess, ProcessError
from workers._servers.child_process import ProcessOptions

IGNORES_SIGTERM = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
while True:
    signal.pause()
"""
ENDS_BY_SIGTERM = 'import signal; print("ready", flush=True); signal.pause()'


def child(tmp_path: Path, code: str, *, stop_timeout: float = 10, **environment: str) -> ChildProcess:
    return ChildProcess(
        [sys.executable, "-c", code],
        name="the child",
        log=tmp_path / "log" / "child.log",
        environment=environment,
        options=ProcessOptions(stop_timeout=timedelta(seconds=stop_timeout)),
    )


def printed(process: ChildProcess, word: str) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return word in process.last_log_lines()

    return check


async def test_stop_sends_sigterm(tmp_path: Path) -> None:
    """A process with the default handler ends by SIGTERM."""
    async with child(tmp_path, ENDS_BY_SIGTERM) as process:
        await process.wait_ready(printed(process, "ready"))

        assert await process.stop() == -signal.SIGTERM

    assert not process.is_running


async def test_stop_kills_after_the_stop_timeout(tmp_path: Path) -> None:
    """A process that ignores SIGTERM is killed."""
    async with child(tmp_path, IGNORES_SIGTERM, stop_timeout=0.1) as process:
        await process.wait_ready(printed(process, "ready"))

        assert await process.stop() == -signal.SIGKILL


async def test_kill_ends_grandchildren(tmp_path: Path) -> None:
    """A killed process leaves no grandchild behind."""
    code = f"""
import subprocess, sys
grandchild = subprocess.Popen([sys.executable, "-c", {IGNORES_SIGTERM!r}])
print(grandchild.pid, flush=True)
grandchild.wait()
"""
    async with child(tmp_path, code) as process:
        await process.wait_ready(printed(process, "ready"))
        grandchild = int(next(line for line in process.last_log_lines().splitlines() if line.isdigit()))

        process.kill()

        await until(lambda: not is_alive(grandchild))
    assert process.exit_code == -signal.SIGKILL


async def test_an_early_end_is_reported_with_the_last_log_lines(tmp_path: Path) -> None:
    """The error shows the reason without a look into the log."""
    process = child(tmp_path, 'raise SystemExit("the disk is full")')
    process.start()

    with pytest.raises(ProcessError) as caught:
        await process.wait_ready(printed(process, "ready"))

    assert "the child exited with code 1 before becoming ready" in str(caught.value)
    assert "the disk is full" in str(caught.value)
    assert str(process.log) in str(caught.value)


async def test_an_answer_from_a_foreign_server_is_not_readiness(tmp_path: Path) -> None:
    """The check succeeds, but the process has ended."""
    process = child(tmp_path, "raise SystemExit(3)")
    process.start()
    await process.wait()

    async def foreign_server_answers() -> bool:
        return True

    with pytest.raises(ProcessError, match="code 3"):
        await process.wait_ready(foreign_server_answers)


async def test_a_process_that_is_not_ready_in_time_is_reported(tmp_path: Path) -> None:
    """The error names the timeout."""
    async with child(tmp_path, ENDS_BY_SIGTERM) as process:
        with pytest.raises(ProcessError, match=r"was not ready within 0\.1 s"):
            await process.wait_ready(printed(process, "never"), timeout=timedelta(seconds=0.1))


async def test_restart_starts_the_same_command_again(tmp_path: Path) -> None:
    """A restart is a new process with the same environment, and appends to the log."""
    code = 'import os, signal; print("this is " + os.environ["NAME"], flush=True); signal.pause()'
    async with child(tmp_path, code, NAME="Ada") as process:
        await process.wait_ready(printed(process, "this is Ada"))
        first = process.pid

        await process.restart()

        await until(lambda: process.last_log_lines().count("this is Ada") == 2)
        assert process.pid != first


async def test_only_the_listed_variables_are_inherited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables for other servers of the machine do not reach the process."""
    monkeypatch.setenv("INHERITED", "yes")
    monkeypatch.setenv("FOREIGN", "yes")
    process = ChildProcess(
        [
            sys.executable,
            "-c",
            'import os; print("ready", os.environ.get("FOREIGN"), os.environ["INHERITED"])',
        ],
        name="the child",
        log=tmp_path / "child.log",
        options=ProcessOptions(inherited_variables={"INHERITED", "MISSING"}),
    )
    process.start()

    assert await process.wait() == 0
    assert process.last_log_lines() == "ready None yes"


async def test_a_missing_program_is_named(tmp_path: Path) -> None:
    """The error repeats the command."""
    process = ChildProcess(["no-such-program"], name="the child", log=tmp_path / "child.log")
    process.start()

    with pytest.raises(ProcessError, match="cannot run 'no-such-program'"):
        await process.wait_ready(printed(process, "ready"))


async def test_start_outside_the_main_thread_is_refused(tmp_path: Path) -> None:
    """The kernel would end the child together with the thread."""
    process = child(tmp_path, ENDS_BY_SIGTERM)

    with pytest.raises(ProcessError, match="main thread"):
        await asyncio.to_thread(process.start)


async def test_a_second_start_is_refused(tmp_path: Path) -> None:
    """Otherwise the first process would run on, unreferenced."""
    async with child(tmp_path, ENDS_BY_SIGTERM) as process:
        with pytest.raises(ProcessError, match="runs already"):
            process.start()


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux signals the death of a parent to its children"
)
async def test_the_child_of_a_killed_parent_ends(tmp_path: Path) -> None:
    """A parent that gets SIGKILL cannot stop its children."""
    log = tmp_path / "grandchild.log"
    parent = f"""
import signal, sys
from pathlib import Path
from workers import ChildProcess
child = ChildProcess([sys.executable, "-c", {ENDS_BY_SIGTERM!r}], name="the child", log=Path({str(log)!r}))
child.start()
print("pid", child.pid, flush=True)
signal.pause()
"""
    async with child(tmp_path, parent) as process:
        await process.wait_ready(printed(process, "pid"))
        grandchild = int(process.last_log_lines().split()[1])
        await until(lambda: "ready" in log.read_text())
        assert is_alive(grandchild)

        process.kill()

        await until(lambda: not is_alive(grandchild))
