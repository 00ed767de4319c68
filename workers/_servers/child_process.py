"""Child processes that end when their parent ends."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from .._errors import ProcessError
from .._polling import poll_until

LAST_LINES = 15
READY_TIMEOUT = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessOptions:
    """Options of a child process.

    Args:
        inherited_variables: Names of the environment variables to inherit; None for all.
        stop_timeout: How long the process may take to stop before SIGKILL.
        pass_fds: File descriptors to inherit, such as the descriptors of locks.
    """

    inherited_variables: Collection[str] | None = None
    stop_timeout: timedelta = timedelta(seconds=10)
    pass_fds: Sequence[int] = ()


DEFAULT_OPTIONS = ProcessOptions()


class ChildProcess:
    """A server or a worker in a process of its own.

    When this process dies, even by SIGKILL, the child gets SIGTERM (on Linux). The child runs in a session of
    its own: Ctrl-C in a terminal reaches only the parent, which then stops its children in order.

    Args:
        command: The program and its arguments.
        name: The name in error messages, for example `the payment service`.
        log: The file to which the output is appended.
        environment: Environment variables to set, in addition to the inherited variables.
        working_directory: The working directory; by default the directory of this process.
        options: Inherited variables, stop timeout and inherited file descriptors.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        name: str,
        log: Path,
        environment: Mapping[str, str] | None = None,
        working_directory: Path | None = None,
        options: ProcessOptions = DEFAULT_OPTIONS,
    ) -> None:
        self.command = tuple(str(part) for part in command)
        self.name, self.log, self.working_directory = name, log, working_directory
        self.environment, self.options = dict(environment or {}), options
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id.

        Raises:
            ProcessError: The process was not started.
        """
        return self._started().pid

    @property
    def is_running(self) -> bool:
        """Whether the process was started and has not ended."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None before the start and while the process runs."""
        return None if self._popen is None else self._popen.poll()

    @property
    def full_environment(self) -> dict[str, str]:
        """All environment variables of the process: inherited and set."""
        inherited = self.options.inherited_variables
        names = os.environ if inherited is None else set(os.environ).intersection(inherited)
        return {**{name: os.environ[name] for name in names}, **self.environment}

    def start(self) -> None:
        """Starts the process and returns at once; `wait_ready` waits.

        Raises:
            ProcessError: The process runs already, or the calling thread is not the main thread.
        """
        if self.is_running:
            raise self._error("runs already")
        # The kernel watches the *thread* that forks: a pool thread that ends would end the child as well.
        if threading.current_thread() is not threading.main_thread():
            raise self._error("can only be started from the main thread")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        launcher = Path(__file__).with_name("parent_death_signal.py")
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                [sys.executable, "-I", "-S", str(launcher), str(os.getpid()), *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.working_directory,
                env=self.full_environment,
                start_new_session=True,
                pass_fds=tuple(self.options.pass_fds),
            )

    async def wait_ready(
        self, check: Callable[[], Awaitable[bool]], *, timeout: timedelta = READY_TIMEOUT
    ) -> None:
        """Waits until `check` returns True.

        Raises:
            ProcessError: The process ended first, or the timeout passed; with the last lines of the log.
        """

        async def is_ready() -> bool:
            has_answered = await check()
            # Tested after the check: the answer may have come from a foreign server on the same port.
            if not self.is_running:
                raise self._error(f"{describe_exit(self._started().returncode)} before becoming ready")
            return has_answered

        if not await poll_until(is_ready, timeout=timeout):
            raise self._error(f"was not ready within {timeout.total_seconds():g} s")

    async def wait(self) -> int:
        """Waits until the process ends, and returns the exit code."""
        # `asyncio`'s own child watching needs a thread, or a loop that outlives this call.
        popen = self._started()
        await poll_until(lambda: popen.poll() is not None)
        return popen.returncode

    async def stop(self) -> int | None:
        """Sends SIGTERM, kills the process after its stop timeout, and returns the exit code.

        Does nothing when the process does not run.
        """
        if self.is_running:
            self._started().terminate()
            try:
                await asyncio.wait_for(self.wait(), self.options.stop_timeout.total_seconds())
            except TimeoutError:
                self.kill()
        return self.exit_code

    def kill(self) -> None:
        """Kills the process group of the process, as a crash would, and waits for the end.

        Does nothing when the process does not run.
        """
        if self.is_running:
            os.killpg(self.pid, signal.SIGKILL)
            self._started().wait()

    async def restart(self) -> None:
        """Stops the process if running, and starts the same command again."""
        await self.stop()
        self.start()

    def exit_error(self) -> ProcessError:
        """Creates the error for a process that should still run; waits for the end of the process."""
        return self._error(describe_exit(self._started().wait()))

    def last_log_lines(self, count: int = LAST_LINES) -> str:
        """Reads the last lines of the log."""
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
    """Describes an exit code: `exited with code 1`, `was killed by SIGKILL`."""
    return f"exited with code {code}" if code >= 0 else f"was killed by {signal.Signals(-code).name}"
