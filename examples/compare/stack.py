"""Everything that the examples need, run together on this machine: both servers, the services, a worker."""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
from temporalio.client import Client

from sagas import SagaPlugin
from workers import (
    ChildProcess,
    EmbeddedRabbitMQ,
    EmbeddedTemporal,
    MissingProgramError,
    PortLease,
    Settings,
    TemporalOptions,
    connect,
    find_rabbitmq_broker,
    find_rabbitmq_program,
    find_temporal_server,
    telemetry,
)

ROOT = Path(__file__).resolve().parents[2]
SERVICES = {"order": 8101, "inventory": 8102, "payment": 8103, "shipping": 8104, "notification": 8105}
"""The services, and the ports that they listen on if they are free."""
WORKER_READY = "worker polls"


class Stack:
    """The services with their databases, a worker, Temporal and RabbitMQ, each a process of its own.

    Everything stops with the `async with` block, and with this process however it ends. Data stays in the
    folder of the settings.

    Args:
        settings: Where data goes. Servers that are configured, or run there, are used; otherwise they are
            started. Where RabbitMQ is not installed, the services only take part in orchestrated sagas.
        task_queue: What the worker polls; a fresh one keeps other workers of the server out.
    """

    def __init__(self, settings: Settings, *, task_queue: str) -> None:
        self.settings, self.task_queue = settings, task_queue
        self.urls: dict[str, str] = {}
        self.services: dict[str, ChildProcess] = {}
        self.databases = {name: settings.data_folder.absolute() / f"{name}.sqlite3" for name in SERVICES}
        self.temporal: EmbeddedTemporal | None = None
        self.rabbit: EmbeddedRabbitMQ | None = None
        self.broker: str | None = None
        self._exit = AsyncExitStack()

    @property
    def client(self) -> Client:
        """A client of the Temporal server, with `SagaPlugin`."""
        return self._client

    @property
    def ui_url(self) -> str | None:
        """Temporal's Web UI, where the server is ours."""
        return self.temporal.ui_url if self.temporal else None

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._exit.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exit.aclose()

    async def get(self, service: str, path: str) -> dict[str, object]:
        """What a service answers to a question about its state."""
        response = await self._http.get(self.urls[service] + path)
        response.raise_for_status()
        answer: dict[str, object] = response.json()
        return answer

    async def open_gate(self, service: str, order_id: str) -> None:
        """Lets a gated request of an order through; see docs/test-data.md."""
        (await self._http.post(f"{self.urls[service]}/test/gates/{order_id}")).raise_for_status()

    async def until_gated(self, service: str, order_id: str) -> None:
        """Returns when a gated request of an order has arrived, and waits at its gate."""
        url = f"{self.urls[service]}/test/gates/{order_id}"
        (await self._http.get(url, timeout=60)).raise_for_status()

    async def start_worker(self) -> None:
        """Starts the worker, and returns when it polls."""
        said = self.worker.log.stat().st_size if self.worker.log.exists() else 0
        self.worker.start()

        async def polls() -> bool:
            with self.worker.log.open() as log:
                log.seek(said)
                return WORKER_READY in log.read()

        await self.worker.wait_ready(polls)

    async def kill_broker(self) -> None:
        """Kills the broker as a crash would, and starts it again."""
        assert self.rabbit is not None
        # RabbitMQ 3.10 loses a queue that it is killed seconds after declaring; this one may be so young.
        await self.rabbit.control("eval", "[dets:sync(Table) || Table <- dets:all()].")
        self.rabbit.kill()
        await self.rabbit.restart()

    async def _start(self) -> None:
        self._http = await self._exit.enter_async_context(httpx.AsyncClient(trust_env=False))
        await asyncio.gather(self._start_temporal(), self._start_broker_and_services())
        plugins = self._exit.enter_context(telemetry(self.settings, service="client"))
        self._client = await connect(self.settings, plugins=[*plugins, SagaPlugin()])
        participants = [f"--participant={name}={url}" for name, url in self.urls.items()]
        self.worker = self._python(
            "worker", "examples.worker", *participants, f"--task-queue={self.task_queue}"
        )
        self._exit.push_async_callback(self.worker.stop)
        await self.start_worker()

    async def _start_temporal(self) -> None:
        if find_temporal_server(self.settings) is None:
            options = TemporalOptions(
                port=self.settings.temporal_port,
                ui_port=self.settings.ui_port,
                retention=self.settings.retention,
            )
            server = EmbeddedTemporal(self.settings.data_folder, options=options)
            self.temporal = await self._exit.enter_async_context(server)

    async def _start_broker_and_services(self) -> None:
        # Before the services, as they react to events from their first moment on.
        await self._start_broker()
        await self._start_services()

    async def _start_broker(self) -> None:
        if found := find_rabbitmq_broker(self.settings):
            self.broker = found.url
            return
        try:
            find_rabbitmq_program()
        except MissingProgramError:
            return
        node = EmbeddedRabbitMQ(self.settings.data_folder, port=self.settings.amqp_port)
        self.rabbit = await self._exit.enter_async_context(node)
        self.broker = node.url

    async def _start_services(self) -> None:
        for name, preferred in SERVICES.items():
            # Held as long as the service runs, so that a restarted one gets its port back.
            lease = PortLease(preferred)
            self._exit.callback(lease.release)
            service = self._python(
                name,
                "examples.service",
                name,
                f"--port={lease.port}",
                f"--database={self.databases[name]}",
            )
            self.urls[name] = f"http://127.0.0.1:{lease.port}"
            self.services[name] = service
            service.start()
            self._exit.push_async_callback(service.stop)
        await asyncio.gather(*(self.wait_for_service(name) for name in SERVICES))

    async def wait_for_service(self, name: str) -> None:
        """Returns when a service answers."""

        async def answers() -> bool:
            try:
                return (await self._http.get(self.urls[name] + "/health")).is_success
            except httpx.TransportError:
                return False

        await self.services[name].wait_ready(answers)

    def _python(self, name: str, module: str, *arguments: str) -> ChildProcess:
        return ChildProcess(
            [sys.executable, "-m", module, *arguments],
            name=f"the {name}" if module.endswith("worker") else f"the {name} service",
            log=self.settings.data_folder / "logs" / f"{name}.log",
            environment=self._environment(),
            working_directory=ROOT,
        )

    def _environment(self) -> dict[str, str]:
        # The broker's URL holds a password, which everybody on this machine could read in a command line.
        broker = {"SAGAS_AMQP_URL": self.broker} if self.broker else {}
        return {
            "SAGAS_DATA_FOLDER": str(self.settings.data_folder.absolute()),
            "SAGAS_TELEMETRY": self.settings.telemetry,
            **broker,
        }
