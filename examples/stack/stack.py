"""Runs a deployment on this machine: Temporal, RabbitMQ, the services and a worker, each as a process."""

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

from .deployment import Deployment

ROOT = Path(__file__).resolve().parents[2]
WORKER_READY = "worker polls"


class Stack:
    """The running processes of a deployment.

    All processes stop with the `async with` block, and with this process, even after a crash. The data stays
    in the data folder.

    Args:
        settings: Name the data folder, and servers to use. A server that is neither configured nor running
            is started. Without RabbitMQ, the services take part in orchestrated sagas only.
        deployment: The services and the worker to run.
        task_queue: The task queue of the worker; a new name excludes other workers of the same server.
    """

    def __init__(self, settings: Settings, deployment: Deployment, *, task_queue: str) -> None:
        self.settings, self.deployment, self.task_queue = settings, deployment, task_queue
        self.urls: dict[str, str] = {}
        self.services: dict[str, ChildProcess] = {}
        self.databases = {
            name: settings.data_folder.absolute() / f"{name}.sqlite3" for name in deployment.services
        }
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
        """The address of Temporal's Web UI; `None` for a server outside this stack."""
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
        """Returns the answer of a service to `GET {path}`."""
        response = await self._http.get(self.urls[service] + path)
        response.raise_for_status()
        answer: dict[str, object] = response.json()
        return answer

    async def open_gate(self, service: str, order_id: str) -> None:
        """Opens the gate of an order; see docs/test-data.md."""
        (await self._http.post(f"{self.urls[service]}/test/gates/{order_id}")).raise_for_status()

    async def wait_until_gated(self, service: str, order_id: str) -> None:
        """Waits until a gated request of an order has arrived at the gate."""
        url = f"{self.urls[service]}/test/gates/{order_id}"
        (await self._http.get(url, timeout=60)).raise_for_status()

    async def start_worker(self) -> None:
        """Starts the worker and waits until the worker polls."""
        logged = self.worker.log.stat().st_size if self.worker.log.exists() else 0
        self.worker.start()

        async def polls() -> bool:
            with self.worker.log.open() as log:
                log.seek(logged)
                return WORKER_READY in log.read()

        await self.worker.wait_ready(polls)

    async def kill_broker(self) -> None:
        """Kills the broker with SIGKILL and starts a new broker on the same data."""
        assert self.rabbit is not None
        # RabbitMQ 3.10 loses a queue that was declared only seconds before the kill.
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
            "worker", self.deployment.worker_module, *participants, f"--task-queue={self.task_queue}"
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
        # Before the services, which react to events from their start on.
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
        for name, preferred in self.deployment.ports.items():
            # Leased as long as the stack runs, so that a restarted service gets the same port.
            lease = PortLease(preferred)
            self._exit.callback(lease.release)
            service = self._python(
                name,
                self.deployment.service_module,
                name,
                f"--port={lease.port}",
                f"--database={self.databases[name]}",
            )
            self.urls[name] = f"http://127.0.0.1:{lease.port}"
            self.services[name] = service
            service.start()
            self._exit.push_async_callback(service.stop)
        await asyncio.gather(*(self.wait_for_service(name) for name in self.deployment.services))

    async def wait_for_service(self, name: str) -> None:
        """Waits until a service answers."""

        async def answers() -> bool:
            try:
                return (await self._http.get(self.urls[name] + "/health")).is_success
            except httpx.TransportError:
                return False

        await self.services[name].wait_ready(answers)

    def _python(self, name: str, module: str, *arguments: str) -> ChildProcess:
        return ChildProcess(
            [sys.executable, "-m", module, *arguments],
            name="the worker" if module == self.deployment.worker_module else f"the {name} service",
            log=self.settings.data_folder / "logs" / f"{name}.log",
            environment=self._environment(),
            working_directory=ROOT,
        )

    def _environment(self) -> dict[str, str]:
        # The broker's URL holds a password; every user of this machine can read a command line.
        broker = {"SAGAS_AMQP_URL": self.broker} if self.broker else {}
        return {
            "SAGAS_DATA_FOLDER": str(self.settings.data_folder.absolute()),
            "SAGAS_TELEMETRY": self.settings.telemetry,
            **broker,
        }
