"""A child process starts, stops, crashes and is told about; and it never outlives its parent."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from tests.waiting import is_alive, until
from workers import ChildProcess, ProcessError

STUBBORN = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
while True:
    signal.pause()
"""
POLITE = 'import signal; print("ready", flush=True); signal.pause()'


def child(tmp_path: Path, code: str, *, grace: float = 10, **environment: str) -> ChildProcess:
    return ChildProcess(
        [sys.executable, "-c", code],
        name="the child",
        log=tmp_path / "log" / "child.log",
        environment=environment,
        grace=timedelta(seconds=grace),
    )


def says(process: ChildProcess, word: str) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return word in process.last_log_lines()

    return check


async def test_it_stops_when_it_is_asked_to(tmp_path: Path) -> None:
    """SIGTERM is enough for a process that obeys."""
    async with child(tmp_path, POLITE) as process:
        await process.wait_ready(says(process, "ready"))

        assert await process.stop() == -signal.SIGTERM

    assert not process.is_running


async def test_it_is_killed_when_it_does_not_obey(tmp_path: Path) -> None:
    """A process that ignores SIGTERM is gone after its grace."""
    async with child(tmp_path, STUBBORN, grace=0.1) as process:
        await process.wait_ready(says(process, "ready"))

        assert await process.stop() == -signal.SIGKILL


async def test_what_it_started_is_killed_with_it(tmp_path: Path) -> None:
    """A killed process leaves no grandchild behind."""
    code = f"""
import subprocess, sys
grandchild = subprocess.Popen([sys.executable, "-c", {STUBBORN!r}])
print(grandchild.pid, flush=True)
grandchild.wait()
"""
    async with child(tmp_path, code) as process:
        await process.wait_ready(says(process, "ready"))
        grandchild = int(next(line for line in process.last_log_lines().splitlines() if line.isdigit()))

        process.kill()

        await until(lambda: not is_alive(grandchild))
    assert process.exit_code == -signal.SIGKILL


async def test_an_early_end_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    """Who started it reads why it ended, without looking for the log."""
    process = child(tmp_path, 'raise SystemExit("the disk is full")')
    process.start()

    with pytest.raises(ProcessError) as caught:
        await process.wait_ready(says(process, "ready"))

    assert "the child exited with code 1 before it was ready" in str(caught.value)
    assert "the disk is full" in str(caught.value)
    assert str(process.log) in str(caught.value)


async def test_an_answer_of_somebody_else_does_not_count(tmp_path: Path) -> None:
    """A check that is answered by another program, while ours is dead, is no success."""
    process = child(tmp_path, "raise SystemExit(3)")
    process.start()
    await process.wait()

    async def somebody_answers() -> bool:
        return True

    with pytest.raises(ProcessError, match="code 3"):
        await process.wait_ready(somebody_answers)


async def test_a_process_that_never_gets_ready_is_told(tmp_path: Path) -> None:
    """Waiting has an end."""
    async with child(tmp_path, POLITE) as process:
        with pytest.raises(ProcessError, match=r"was not ready within 0\.1 s"):
            await process.wait_ready(says(process, "never"), within=timedelta(seconds=0.1))


async def test_it_starts_again_with_the_same_command(tmp_path: Path) -> None:
    """A restart is a new process with the same environment; the log goes on."""
    code = 'import os, signal; print("I am " + os.environ["WHO"], flush=True); signal.pause()'
    async with child(tmp_path, code, WHO="Ada") as process:
        await process.wait_ready(says(process, "I am Ada"))
        first = process.pid

        await process.restart()

        await until(lambda: process.last_log_lines().count("I am Ada") == 2)
        assert process.pid != first


async def test_it_inherits_only_what_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose settings are variables is not changed by those of somebody else."""
    monkeypatch.setenv("MEANT", "yes")
    monkeypatch.setenv("NOT_MEANT", "yes")
    process = ChildProcess(
        [sys.executable, "-c", 'import os; print("ready", os.environ.get("NOT_MEANT"), os.environ["MEANT"])'],
        name="the child",
        log=tmp_path / "child.log",
        inherits={"MEANT", "MISSING"},
    )
    process.start()

    assert await process.wait() == 0
    assert process.last_log_lines() == "ready None yes"


async def test_a_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    """The name that was tried is in the error."""
    process = ChildProcess(["no-such-program"], name="the child", log=tmp_path / "child.log")
    process.start()

    with pytest.raises(ProcessError, match="cannot run 'no-such-program'"):
        await process.wait_ready(says(process, "ready"))


async def test_a_thread_that_ends_must_not_start_it(tmp_path: Path) -> None:
    """The kernel would take the child away with the thread."""
    process = child(tmp_path, POLITE)

    with pytest.raises(ProcessError, match="main thread"):
        await asyncio.to_thread(process.start)


async def test_it_is_not_started_twice(tmp_path: Path) -> None:
    """The first one would be forgotten, and run on."""
    async with child(tmp_path, POLITE) as process:
        with pytest.raises(ProcessError, match="runs already"):
            process.start()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
async def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    """A parent that is killed cannot clean up, and still nothing of it is left."""
    log = tmp_path / "grandchild.log"
    parent = f"""
import signal, sys
from pathlib import Path
from workers import ChildProcess
child = ChildProcess([sys.executable, "-c", {POLITE!r}], name="the child", log=Path({str(log)!r}))
child.start()
print("pid", child.pid, flush=True)
signal.pause()
"""
    async with child(tmp_path, parent) as process:
        await process.wait_ready(says(process, "pid"))
        grandchild = int(process.last_log_lines().split()[1])
        await until(lambda: "ready" in log.read_text())
        assert is_alive(grandchild)

        process.kill()

        await until(lambda: not is_alive(grandchild))
