"""The lifecycle of an embedded server: lock, start, readiness, published address, stop, crash and restart."""

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from .._configuration.loopback import LOOPBACK
from .._errors import ProcessError
from .child_process import READY_TIMEOUT, ChildProcess
from .data_folder_lock import DataFolderLock, RunningServer
from .port_lease import PortLease
from .remembered_ports import RememberedPorts

START_ATTEMPTS = 3
ANSWER_TIMEOUT = timedelta(seconds=5)
"""How long a readiness check waits for a server that accepted the connection and does not answer."""
PORT_IN_USE = re.compile(r"eaddrinuse|in use by another|address already in use", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerProcess:
    """A process of an embedded server, with its readiness check.

    Args:
        process: The process.
        is_ready: The readiness check.
        ready_timeout: How long the process may take to become ready.
    """

    process: ChildProcess
    is_ready: Callable[[], Awaitable[bool]]
    ready_timeout: timedelta = READY_TIMEOUT


class EmbeddedServer(ABC):
    """A server on the loopback interface, as child processes with a data folder of their own.

    The state outlives the processes: a start on the same folder continues from the state of the last run,
    also after SIGKILL. The processes end when this process dies, even by SIGKILL (on Linux).

    Args:
        folder: The data folder: database, log, lock and address file.
        kind: The base name of the log, the lock and the address file.
        name: The name in error messages, for example `the Temporal server`.
        preferred_ports: The preferred ports, taken when free; 0 for any free port. A port that was taken in
            place of a preferred port is preferred at the next start on the folder.
    """

    def __init__(self, folder: Path, *, kind: str, name: str, preferred_ports: Sequence[int]) -> None:
        self.folder = folder.absolute()
        self._kind, self._name, self._preferred_ports = kind, name, tuple(preferred_ports)
        self._lock = DataFolderLock(self.folder, kind)
        self._remembered_ports = RememberedPorts(self.folder / f"{kind}-ports.json")
        self._leases: tuple[PortLease, ...] = ()
        self._processes: tuple[ServerProcess, ...] = ()

    @property
    def address(self) -> str:
        """Host and port for clients.

        Raises:
            ProcessError: The server was not started.
        """
        return f"{LOOPBACK}:{self._ports[0]}"

    @property
    def log(self) -> Path:
        """The log of the server."""
        return self.folder / f"{self._kind}.log"

    @property
    def process(self) -> ChildProcess:
        """The process that serves clients.

        Raises:
            ProcessError: The server was not started.
        """
        if not self._processes:
            raise self._not_started()
        return self._processes[-1].process

    @property
    def replaced_ports(self) -> Mapping[int, int]:
        """The ports of the server by preferred port, where the server has another port; see `ports_file`.

        Raises:
            ProcessError: The server was not started.
        """
        ports = zip(self._preferred_ports, self._ports, strict=True)
        return {preferred: port for preferred, port in ports if preferred not in {0, port}}

    @property
    def ports_file(self) -> Path:
        """The file that keeps `replaced_ports` for the next start."""
        return self._remembered_ports.file

    async def start(self) -> None:
        """Starts the server and returns when the server is ready.

        Raises:
            ConfigurationError: The server cannot run in a folder of this name.
            MissingProgramError: A program is not installed.
            DataFolderInUseError: Another server of this kind runs on the folder.
            ProcessError: The server ended, or was not ready in time; with the last lines of the log.
        """
        programs = self._find_programs()
        await self._lock.acquire()
        try:
            await self._start_on_free_ports(programs)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stops the server and releases folder and ports; does nothing when the server does not run."""
        self._lock.remove_address()
        await self._stop_processes()
        self._release_ports()
        self._lock.release()

    def kill(self) -> None:
        """Kills the server as a crash would; folder and ports stay reserved for `restart`."""
        self.process.kill()

    async def restart(self) -> None:
        """Stops the server if running, and starts it on the same ports and the same state."""
        await self.process.stop()
        await self._run_processes()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    @abstractmethod
    def _find_programs(self) -> Sequence[Path]:
        """Finds the programs to run, before the folder is locked."""

    @abstractmethod
    def _create_processes(self, programs: Sequence[Path]) -> Sequence[ServerProcess]:
        """Creates the processes for the leased ports, in start order; the last process serves clients."""

    @abstractmethod
    def _running_server(self, *, pid: int, owner_pid: int) -> RunningServer:
        """Creates the content of the address file."""

    @property
    def _ports(self) -> tuple[int, ...]:
        if not self._leases:
            raise self._not_started()
        return tuple(lease.port for lease in self._leases)

    async def _start_on_free_ports(self, programs: Sequence[Path]) -> None:
        for attempt in range(1, START_ATTEMPTS + 1):
            remembered = self._remembered_ports.read()
            self._leases = tuple(
                PortLease(remembered.get(port, port), port) for port in self._preferred_ports
            )
            self._processes = tuple(self._create_processes(programs))
            try:
                await self._run_processes()
            except ProcessError as error:
                # A foreign program, which ignores the leases, took a port after the port was chosen.
                if attempt == START_ATTEMPTS or not PORT_IN_USE.search(error.last_lines):
                    raise
                await self._stop_processes()
                self._release_ports()
            else:
                self._remembered_ports.write(self.replaced_ports)
                return

    async def _run_processes(self) -> None:
        for each in self._processes:
            if not each.process.is_running:
                each.process.start()
                await each.process.wait_ready(each.is_ready, timeout=each.ready_timeout)
        self._lock.publish_address(self._running_server(pid=self.process.pid, owner_pid=os.getpid()))

    async def _stop_processes(self) -> None:
        for each in reversed(self._processes):
            await each.process.stop()

    def _release_ports(self) -> None:
        for lease in self._leases:
            lease.release()

    def _not_started(self) -> ProcessError:
        return ProcessError(self._name, "was not started", self.log, "")
