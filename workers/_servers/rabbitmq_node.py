"""A RabbitMQ broker of our own: durable, on loopback, with its own user, and gone when we are."""

import asyncio
import os
import re
import shutil
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import Field

from .._errors import ConfigurationError, MissingProgramError, ProcessError
from .child_process import ChildProcess, describe_exit
from .data_folder_lock import FolderClaim, RunningServer, find_claimant
from .port_lease import LOOPBACK, PortLease
from .rabbitmq_files import USER, NodeFiles, NodePorts

SERVER = "rabbitmq"
START_ATTEMPTS = 3
BOOT_PATIENCE = timedelta(seconds=60)
"""Two seconds are usual; a machine that is busy with other things has taken ten."""
STOP_PATIENCE = timedelta(seconds=30)
"""One second is usual; a node that is killed instead has to recover at its next start."""
ANSWER_PATIENCE = 5.0
"""Seconds after which a broker that took the connection but says nothing is asked again."""
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
PORT_TAKEN = re.compile(r"eaddrinuse|in use by another|address already in use", re.IGNORECASE)

# Debian's wrapper in /usr/sbin lets only root and one other user in, and forgets the environment.
USUAL_FOLDERS = (Path("/usr/lib/rabbitmq/bin"), Path("/opt/homebrew/sbin"), Path("/usr/local/sbin"))
WRAPPER = "rabbitmq-script-wrapper"
ADVICE = "install it with: sudo apt-get install rabbitmq-server (on macOS: brew install rabbitmq)"


class BrokerAddress(RunningServer):
    """Where a running embedded broker is, and who started it, as it stands in its data folder."""

    url: str = Field(repr=False)


class EmbeddedRabbit:
    """A private node of the installed RabbitMQ, as a child process.

    Its state outlives it: a new start on the same folder goes on where the last one ended, also after a
    SIGKILL; durable queues keep their persistent messages. It listens on loopback only, and lets in only a
    user of its own, whose password is in its data folder and readable by nobody else. It stops when this
    process dies, even by SIGKILL (on Linux), and no daemon of Erlang is left behind.

    Args:
        folder: Its data folder: the database, the log, and the file that tells others its address.
        port: The port wished for; another one is taken where it is in use, and 0 is any free one.
        binary: The `rabbitmq-server` program; found by `find_rabbitmq` where it is not given.
    """

    def __init__(self, folder: Path, *, port: int = 5672, binary: Path | None = None) -> None:
        self.folder, self.port = folder.absolute(), port
        self._binary = binary
        self._files = NodeFiles(self.folder / "rabbitmq")
        self._claim = FolderClaim(self.folder, SERVER)
        self._leases: tuple[PortLease, ...] = ()
        self._password = ""
        self._epmd: ChildProcess | None = None
        self._process: ChildProcess | None = None

    @property
    def address(self) -> str:
        """Where clients connect to: host and port."""
        return f"{LOOPBACK}:{self._ports.amqp}"

    @property
    def url(self) -> str:
        """Where clients connect to and how they get in; it holds the password."""
        return f"amqp://{USER}:{self._password}@{self.address}/"

    @property
    def log(self) -> Path:
        """What the node says."""
        return self.folder / "rabbitmq.log"

    @property
    def process(self) -> ChildProcess:
        """The node's process.

        Raises:
            ProcessError: It is not started.
        """
        if self._process is None:
            raise self._not_started()
        return self._process

    async def start(self) -> None:
        """Starts the node and returns when it answers.

        Raises:
            ConfigurationError: RabbitMQ cannot run in a folder of this name.
            MissingProgramError: RabbitMQ, or the Erlang that it needs, is not installed.
            FolderInUseError: Another node runs on this folder.
            ProcessError: It ended, or did not answer in time; with the end of its log.
        """
        if "'" in str(self.folder):
            # RabbitMQ passes it to a shell between apostrophes, and waits for ever for the answer.
            raise ConfigurationError(
                f"RabbitMQ cannot keep its data in {str(self.folder)!r}: choose a folder without apostrophe"
            )
        server, epmd = self._binary or find_rabbitmq(), _find_epmd()
        await self._claim.take()
        try:
            await self._start_on_free_ports(server, epmd)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stops the node, and gives its folder and ports back; does nothing where it does not run."""
        self._claim.withdraw()
        await self._stop_processes()
        self._release_ports()
        self._claim.release()

    def kill(self) -> None:
        """Kills the node as a crash would; it keeps its folder and ports for `restart`."""
        self.process.kill()

    async def restart(self) -> None:
        """Stops the node where it still runs, and starts it on the same ports and the same state."""
        await self.process.stop()
        await self._run()

    async def control(self, *arguments: str) -> str:
        """Runs `rabbitmqctl` on the node, and returns what it says.

        Raises:
            ProcessError: The node does not run, or refused; with what was said.
        """
        program = (self._binary or find_rabbitmq()).with_name("rabbitmqctl")
        running = await asyncio.create_subprocess_exec(
            program, *arguments, env=self.process.whole_environment, stdout=PIPE, stderr=STDOUT
        )
        said = (await running.communicate())[0].decode(errors="replace")
        if running.returncode != 0:
            raise ProcessError("rabbitmqctl", describe_exit(running.returncode or 0), self.log, said)
        return said

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def _start_on_free_ports(self, server: Path, epmd: Path) -> None:
        for attempt in range(1, START_ATTEMPTS + 1):
            self._leases = (PortLease(self.port), PortLease(0), PortLease(0))
            self._password = self._files.write(self._ports)
            self._epmd = self._child(
                [epmd, "-port", str(self._ports.epmd), "-address", LOOPBACK],
                name="epmd, the register of Erlang nodes,",
                log=self._files.epmd_log,
            )
            self._process = self._child([server], name="the RabbitMQ node", log=self.log)
            try:
                await self._run()
            except ProcessError as error:
                # A foreign program, which knows no leases, took a port in the very moment.
                if attempt == START_ATTEMPTS or not PORT_TAKEN.search(error.last_lines):
                    raise
                await self._stop_processes()
                self._release_ports()
            else:
                return

    def _child(self, command: list[str | Path], *, name: str, log: Path) -> ChildProcess:
        return ChildProcess(
            command,
            name=name,
            log=log,
            environment=self._files.environment(self._ports),
            # Settings for another node on this machine, or for Erlang at large, are not meant for this one.
            inherits={"PATH", "TMPDIR"},
            folder=self._files.folder,
            grace=STOP_PATIENCE,
            keep_open=[self._claim.descriptor],
        )

    async def _run(self) -> None:
        # The node finds the other one only while it boots, so epmd has to be there before.
        if self._epmd is not None and not self._epmd.is_running:
            self._epmd.start()
            await self._epmd.wait_ready(self._epmd_answers)
        self.process.start()
        await self.process.wait_ready(self._is_ready, within=BOOT_PATIENCE)
        self._claim.announce(BrokerAddress(url=self.url, pid=self.process.pid, owner_pid=os.getpid()))

    async def _stop_processes(self) -> None:
        # In this order: a node that stops says goodbye to its epmd.
        for process in (self._process, self._epmd):
            if process is not None:
                await process.stop()

    async def _epmd_answers(self) -> bool:
        return await _greet(self._ports.epmd, b"") is not None

    async def _is_ready(self) -> bool:
        # The node listens only when everything else, its user included, is in place.
        return bool(await _greet(self._ports.amqp, PROTOCOL_HEADER))

    @property
    def _ports(self) -> NodePorts:
        if not self._leases:
            raise self._not_started()
        amqp, epmd, distribution = (lease.port for lease in self._leases)
        return NodePorts(amqp=amqp, epmd=epmd, distribution=distribution)

    def _release_ports(self) -> None:
        for lease in self._leases:
            lease.release()

    def _not_started(self) -> ProcessError:
        return ProcessError("the RabbitMQ node", "was not started", self.log, "")


def find_rabbitmq(*, usual: Iterable[Path] = USUAL_FOLDERS) -> Path:
    """Finds the `rabbitmq-server` program that any user can run: where packages put it, then on the PATH.

    Args:
        usual: Where packages put it.

    Raises:
        MissingProgramError: It is in none of these places; says what to install.
    """
    on_path = shutil.which("rabbitmq-server")
    for found in (*(folder / "rabbitmq-server" for folder in usual), Path(on_path or "/")):
        if found.is_file() and os.access(found, os.X_OK) and found.resolve().name != WRAPPER:
            return found
    raise MissingProgramError("rabbitmq-server", ADVICE)


def find_running_broker(folder: Path) -> BrokerAddress | None:
    """Finds the embedded broker that runs on a data folder; None where none does."""
    return find_claimant(folder, SERVER, BrokerAddress)


def _find_epmd() -> Path:
    if found := shutil.which("epmd"):
        return Path(found)
    raise MissingProgramError("epmd", f"it comes with Erlang, which RabbitMQ needs; {ADVICE}")


async def _greet(port: int, greeting: bytes) -> bytes | None:
    """Says something to a server and returns the first byte of its answer; None where nothing listens."""
    try:
        async with asyncio.timeout(ANSWER_PATIENCE):
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            try:
                writer.write(greeting)
                return await reader.read(1) if greeting else b""
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return None
