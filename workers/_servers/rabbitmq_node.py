"""The embedded RabbitMQ node, with a user of its own."""

import asyncio
import os
import shutil
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path

from pydantic import Field

from .._configuration.loopback import LOOPBACK
from .._errors import ConfigurationError, MissingProgramError, ProcessError
from .child_process import ChildProcess, ProcessOptions, describe_exit
from .data_folder_lock import RunningServer, find_running_server
from .embedded_server import ANSWER_TIMEOUT, EmbeddedServer, ServerProcess
from .rabbitmq_files import USER, NodeFiles, NodePorts

KIND = "rabbitmq"
NAME = "the RabbitMQ node"
BOOT_TIMEOUT = timedelta(seconds=60)
"""A boot usually takes two seconds, and has taken ten on a busy machine."""
STOP_TIMEOUT = timedelta(seconds=30)
"""A stop usually takes one second; a killed node has to recover at the next start."""
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"

# Debian's wrapper in /usr/sbin admits only root and the user `rabbitmq`, and drops the environment.
PACKAGE_FOLDERS = (Path("/usr/lib/rabbitmq/bin"), Path("/opt/homebrew/sbin"), Path("/usr/local/sbin"))
WRAPPER = "rabbitmq-script-wrapper"
INSTALL = "install it with: sudo apt-get install rabbitmq-server (on macOS: brew install rabbitmq)"


class RunningRabbitMQNode(RunningServer):
    """The address file of an embedded RabbitMQ node."""

    url: str = Field(repr=False)


class EmbeddedRabbitMQ(EmbeddedServer):
    """A private node of the installed RabbitMQ as a child process, on the loopback interface only.

    The state outlives the node: a start on the same folder continues from the state of the last run, also
    after SIGKILL, and durable queues keep their persistent messages. The node admits only its own user, whose
    password is stored in the data folder, readable by the owner only. The node stops when this process dies,
    even by SIGKILL (on Linux), and leaves no Erlang daemon behind.

    Args:
        folder: The data folder: database, log, lock and address file.
        port: The preferred port; a free port when in use, and 0 for any free port.
        binary: The `rabbitmq-server` program; by default found by `find_rabbitmq_program`.
    """

    def __init__(self, folder: Path, *, port: int = 5672, binary: Path | None = None) -> None:
        super().__init__(folder, kind=KIND, name=NAME, preferred_ports=(port, 0, 0))
        self._binary = binary
        self._files = NodeFiles(self.folder / "rabbitmq")
        self._password = ""

    @property
    def url(self) -> str:
        """The URL for clients, with the password.

        Raises:
            ProcessError: The node was not started.
        """
        return f"amqp://{USER}:{self._password}@{self.address}/"

    async def control(self, *arguments: str) -> str:
        """Runs `rabbitmqctl` on the node, and returns the output.

        Raises:
            ProcessError: The node does not run, or `rabbitmqctl` failed; with the output.
        """
        program = (self._binary or find_rabbitmq_program()).with_name("rabbitmqctl")
        running = await asyncio.create_subprocess_exec(
            program, *arguments, env=self.process.full_environment, stdout=PIPE, stderr=STDOUT
        )
        output = (await running.communicate())[0].decode(errors="replace")
        if running.returncode != 0:
            raise ProcessError("rabbitmqctl", describe_exit(running.returncode or 0), self.log, output)
        return output

    def _find_programs(self) -> Sequence[Path]:
        if "'" in str(self.folder):
            # RabbitMQ passes the path to a shell between apostrophes, and waits for ever for the answer.
            raise ConfigurationError(
                f"RabbitMQ cannot keep its data in {str(self.folder)!r}: choose a folder without apostrophe"
            )
        return [self._binary or find_rabbitmq_program(), _find_epmd()]

    def _create_processes(self, programs: Sequence[Path]) -> Sequence[ServerProcess]:
        server, epmd = programs
        ports = self._node_ports
        self._password = self._files.write(ports)
        register = self._create_process(
            [epmd, "-port", str(ports.epmd), "-address", LOOPBACK],
            name="epmd, the register of Erlang nodes,",
            log=self._files.epmd_log,
        )
        node = self._create_process([server], name=NAME, log=self.log)
        # epmd first: the node looks for epmd only while booting, and deregisters while stopping.
        return [
            ServerProcess(process=register, is_ready=self._is_epmd_ready),
            ServerProcess(process=node, is_ready=self._is_node_ready, ready_timeout=BOOT_TIMEOUT),
        ]

    def _create_process(self, command: list[str | Path], *, name: str, log: Path) -> ChildProcess:
        return ChildProcess(
            command,
            name=name,
            log=log,
            environment=self._files.environment(self._node_ports),
            working_directory=self._files.folder,
            options=ProcessOptions(
                # Variables that configure other nodes of this machine, or Erlang in general, stay out.
                inherited_variables={"PATH", "TMPDIR"},
                stop_timeout=STOP_TIMEOUT,
                pass_fds=[self._lock.descriptor],
            ),
        )

    def _running_server(self, *, pid: int, owner_pid: int) -> RunningRabbitMQNode:
        return RunningRabbitMQNode(pid=pid, owner_pid=owner_pid, url=self.url)

    @property
    def _node_ports(self) -> NodePorts:
        amqp, epmd, distribution = self._ports
        return NodePorts(amqp=amqp, epmd=epmd, distribution=distribution)

    async def _is_epmd_ready(self) -> bool:
        return await _exchange(self._node_ports.epmd, b"") is not None

    async def _is_node_ready(self) -> bool:
        # The node starts to listen after everything else, the creation of its user included.
        return bool(await _exchange(self._node_ports.amqp, PROTOCOL_HEADER))


def find_rabbitmq_program(*, package_folders: Iterable[Path] = PACKAGE_FOLDERS) -> Path:
    """Finds a `rabbitmq-server` program that any user can run: in the folders of packages, else on the PATH.

    Args:
        package_folders: The folders into which packages install the program.

    Raises:
        MissingProgramError: The program is in none of these places.
    """
    on_path = shutil.which("rabbitmq-server")
    for found in (*(folder / "rabbitmq-server" for folder in package_folders), Path(on_path or "/")):
        if found.is_file() and os.access(found, os.X_OK) and found.resolve().name != WRAPPER:
            return found
    raise MissingProgramError("rabbitmq-server", INSTALL)


def find_running_rabbitmq(folder: Path) -> RunningRabbitMQNode | None:
    """Finds the embedded RabbitMQ node that runs on a data folder; None when no node runs."""
    return find_running_server(folder, KIND, RunningRabbitMQNode)


def _find_epmd() -> Path:
    if found := shutil.which("epmd"):
        return Path(found)
    raise MissingProgramError("epmd", f"epmd is a part of Erlang, which RabbitMQ needs; {INSTALL}")


async def _exchange(port: int, greeting: bytes) -> bytes | None:
    """Sends a greeting and returns the first byte of the answer; None when no server listens or answers."""
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT.total_seconds()):
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            try:
                writer.write(greeting)
                return await reader.read(1) if greeting else b""
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return None
