"""A child process that never outlives its parent."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from .._errors import ProcessError

POLL = 0.02
LAST_LINES = 15


class ChildProcess:
    """A server or a worker as a process of its own.

    It is told to stop when this process dies, even by SIGKILL (on Linux). It has a session of its own, so
    that Ctrl-C in a terminal reaches only the parent, which then stops its children in its own order.

    Args:
        command: The program and its arguments.
        name: What people call it: `the payment service`.
        log: Where its output goes, appended.
        environment: Variables set in addition to those that it inherits.
        inherits: Names of the variables that it gets from this process; all of them where it is None.
        folder: Its working directory.
        grace: How long it may take to stop before it is killed.
        keep_open: File descriptors that the child inherits, such as those of locks it shares.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        name: str,
        log: Path,
        environment: Mapping[str, str] | None = None,
        inherits: Collection[str] | None = None,
        folder: Path | None = None,
        grace: timedelta = timedelta(seconds=10),
        keep_open: Sequence[int] = (),
    ) -> None:
        self.command = tuple(str(part) for part in command)
        self.name, self.log, self.folder, self.grace = name, log, folder, grace
        self.environment, self.inherits = dict(environment or {}), inherits
        self.keep_open = tuple(keep_open)
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id.

        Raises:
            ProcessError: It was never started.
        """
        return self._started().pid

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How it ended, negative for a signal; None while it runs, or when it was never started."""
        return None if self._popen is None else self._popen.poll()

    @property
    def whole_environment(self) -> dict[str, str]:
        """Every variable that it runs with: what it inherits, and what is set for it."""
        names = os.environ if self.inherits is None else set(os.environ).intersection(self.inherits)
        return {**{name: os.environ[name] for name in names}, **self.environment}

    def start(self) -> None:
        """Starts it and returns at once; see `wait_ready`.

        Raises:
            ProcessError: It runs already, or this is not the main thread.
        """
        if self.is_running:
            raise self._error("runs already")
        # The kernel watches the *thread* that forks: a pool thread that ends would take the child with it.
        if threading.current_thread() is not threading.main_thread():
            raise self._error("can only be started from the main thread")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        shim = Path(__file__).with_name("parent_death_signal.py")
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                [sys.executable, "-I", "-S", str(shim), str(os.getpid()), *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=self.whole_environment,
                start_new_session=True,
                pass_fds=self.keep_open,
            )

    async def wait_ready(
        self, check: Callable[[], Awaitable[bool]], *, within: timedelta = timedelta(seconds=30)
    ) -> None:
        """Waits until `check` says yes.

        Raises:
            ProcessError: It ended first, or `within` went by; with the last lines of its log.
        """
        deadline = time.monotonic() + within.total_seconds()
        while True:
            is_ready = await check()
            # Looked at after the check: what answered may have been somebody else's server.
            if not self.is_running:
                raise self._error(f"{describe_exit(self._started().returncode)} before it was ready")
            if is_ready:
                return
            if time.monotonic() > deadline:
                raise self._error(f"was not ready within {within.total_seconds():g} s")
            await asyncio.sleep(POLL)

    async def wait(self) -> int:
        """Waits until it ends by itself, and returns its exit code."""
        # Asking again and again, as an event needs a thread or a loop that outlives this call.
        while (code := self._started().poll()) is None:  # noqa: ASYNC110
            await asyncio.sleep(POLL)
        return code

    async def stop(self) -> int | None:
        """Asks it to stop, kills it where it does not within its grace, and returns its exit code.

        Does nothing where it does not run.
        """
        if self.is_running:
            self._started().terminate()
            try:
                await asyncio.wait_for(self.wait(), self.grace.total_seconds())
            except TimeoutError:
                self.kill()
        return self.exit_code

    def kill(self) -> None:
        """Kills it and whatever it started, as a crash would; returns when it is gone.

        Does nothing where it does not run.
        """
        if self.is_running:
            os.killpg(self.pid, signal.SIGKILL)
            self._started().wait()

    async def restart(self) -> None:
        """Stops it where it still runs, and starts it again with the same command."""
        await self.stop()
        self.start()

    def ended(self) -> ProcessError:
        """The error that says how it ended, for a caller whose process should still run."""
        return self._error(describe_exit(self._started().wait()))

    def last_log_lines(self, count: int = LAST_LINES) -> str:
        """The end of its log, for people."""
        if not self.log.exists():
            return ""
        with self.log.open(encoding="utf-8", errors="replace") as lines:
            return "".join(deque(lines, maxlen=count)).rstrip()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._popen is None:
            raise self._error("was not started")
        return self._popen

    def _error(self, reason: str) -> ProcessError:
        return ProcessError(self.name, reason, self.log, self.last_log_lines())


def describe_exit(code: int) -> str:
    """What an exit code says, for people: `exited with code 1`, `was killed by SIGKILL`."""
    return f"exited with code {code}" if code >= 0 else f"was killed by {signal.Signals(-code).name}"
