"""A private RabbitMQ node for tests, used as the embedded one of `workers`, which is to take its place."""

import asyncio
import os
import shutil
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from workers._ports import LOOPBACK, PortLease
from workers._process import ChildProcess

PLACES = ("/usr/lib/rabbitmq/bin/rabbitmq-server", "/opt/homebrew/sbin/rabbitmq-server")
CONFIGURATION = """\
listeners.tcp.default = 127.0.0.1:{port}
log.file = false
log.console = true
log.console.level = warning
vm_memory_high_watermark.absolute = 512MiB
disk_free_limit.absolute = 64MB
"""
HELLO = b"AMQP\x00\x00\x09\x01"


def find_rabbitmq() -> Path:
    """Finds the server; without it, a visible skip at home and a failure in CI."""
    found = next((path for path in PLACES if os.access(path, os.X_OK)), None) or shutil.which(
        "rabbitmq-server"
    )
    if found is None or shutil.which("epmd") is None:
        reason = "RabbitMQ is missing; on Debian type: apt-get install rabbitmq-server"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return Path(found)


class RabbitNode:
    """A durable RabbitMQ node on loopback, gone when this process is gone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._server = find_rabbitmq()
        self._leases = tuple(PortLease(0) for _ in range(3))
        self._processes = self._epmd, self._node = self._commands()

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"amqp://guest:guest@{LOOPBACK}:{self.port}/"

    @property
    def port(self) -> int:
        """The port for AMQP."""
        return self._leases[0].port

    async def start(self) -> None:
        """Starts it and returns when it takes connections."""
        for name in ("home", "mnesia", "log"):
            (self.folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.folder / "rabbitmq.conf").write_text(CONFIGURATION.format(port=self.port))
        (self.folder / "enabled_plugins").write_text("[].")
        for process in self._processes:
            if not process.is_running:
                process.start()
        await self._node.wait_ready(self._is_ready)

    def kill(self) -> None:
        """Kills it as a crash would."""
        self._node.kill()

    async def restart(self) -> None:
        """Stops it where it still runs, and starts it on the same port and the same data."""
        await self._node.stop()
        await self.start()

    async def stop(self) -> None:
        """Stops it, and gives its ports back."""
        await self._node.stop()
        await self._epmd.stop()
        for lease in self._leases:
            lease.release()

    async def settle(self) -> None:
        """Writes down which queues there are.

        RabbitMQ 3.10 does so a few seconds after a queue was made; one that it is killed before is there
        again afterwards, but takes nothing and gives nothing for ever.
        """
        await self.control("eval", "[dets:sync(Table) || Table <- dets:all()].")

    async def control(self, *arguments: str) -> str:
        """Runs `rabbitmqctl`, and returns what it says."""
        running = await asyncio.create_subprocess_exec(
            self._server.with_name("rabbitmqctl"),
            *arguments,
            env={**os.environ, **self._environment()},
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await running.communicate()
        assert running.returncode == 0
        return said.decode()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    def _commands(self) -> tuple[ChildProcess, ChildProcess]:
        environment, log = self._environment(), self.folder / "server.log"
        epmd_port = str(self._leases[1].port)
        epmd = ChildProcess(
            ["epmd", "-port", epmd_port, "-address", LOOPBACK], name="epmd", log=log, environment=environment
        )
        node = ChildProcess([self._server], name="RabbitMQ", log=log, environment=environment)
        return epmd, node

    def _environment(self) -> dict[str, str]:
        folder = self.folder
        return {
            "HOME": str(folder / "home"),
            "NO_COLOR": "1",
            "LANG": "C.UTF-8",
            "RABBITMQ_NODENAME": "sagas@localhost",
            "RABBITMQ_DIST_PORT": str(self._leases[2].port),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +A 16 -kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_PORT": str(self._leases[1].port),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "ERL_CRASH_DUMP": "/dev/null",
        }

    async def _is_ready(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
        except OSError:
            return False
        try:
            writer.write(HELLO)
            async with asyncio.timeout(5):
                return bool(await reader.read(1))
        except (OSError, TimeoutError):
            return False
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
