"""Runs a service of an example as a process: the HTTP API, and with a broker the reactions to events."""

import asyncio
import functools
import signal
import socket
import sqlite3
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer
import uvicorn
from fastapi import FastAPI

from choreography import (
    Bus,
    BusUnavailableError,
    Database,
    RabbitBus,
    RunningParticipant,
    Topology,
    build_schema,
    build_topology,
    run_participant,
)
from workers import ConfigurationError, load_settings, telemetry

from .connection_drop import DroppableConnection
from .event_faults import EventFaults
from .gates import Gates
from .http_api import create_app
from .service import Service

HOST = "127.0.0.1"
GRACE_SECONDS = 2
"""How long a request may continue after SIGTERM."""

KEEP_ALIVE_SECONDS = 60
"""How long an idle connection stays open.

Clients close their idle connections first: httpx does so after 5 seconds. If a service closes a connection at
the moment at which a client uses the connection, the client gets a transport error.
"""


def service_program(services: Mapping[str, Service]) -> typer.Typer:
    """Creates the command line for running a service, chosen by name."""
    topology = build_topology(*(service.reactions for service in services.values()))
    names = ", ".join(services)
    program = typer.Typer(add_completion=False)

    @program.command()
    def run(
        name: Annotated[str, typer.Argument(help=f"One of {names}.")],
        database: Annotated[Path, typer.Option(help="The SQLite file of the service; created when missing.")],
        port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")] = 0,
        broker: Annotated[
            str,
            typer.Option(
                envvar="SAGAS_AMQP_URL",
                help="The AMQP URL of the broker for events; without one: HTTP only.",
            ),
        ] = "",
    ) -> None:
        """Runs an example service on the loopback interface and prints the URL."""
        if name not in services:
            _exit_with(f"there is no service {name!r}; choose one of {names}")
        bus = open_bus(broker) if broker else None
        _run(services[name], topology, port, database, bus)

    return program


def open_bus(url: str) -> AbstractAsyncContextManager[Bus]:
    """Opens a connection to a broker."""
    return RabbitBus(url)


@asynccontextmanager
async def react_to_events(
    service: Service, topology: Topology, database: Database, bus: Bus, gates: Gates
) -> AsyncGenerator[RunningParticipant, None]:
    """Lets a service react to events while the context is open; waits for an unavailable broker."""
    while True:
        try:
            await bus.declare(topology)
            break
        except BusUnavailableError as error:
            print(f"{service.participant.name} waits for its broker: {error}", flush=True)
    faults = EventFaults(service.fault_rule, gates)
    async with run_participant(service.reactions, database, bus, fault_injector=faults) as running:
        yield running


class _AnnouncingServer(uvicorn.Server):
    """Prints a line as soon as the server accepts requests."""

    def __init__(self, config: uvicorn.Config, announcement: str) -> None:
        super().__init__(config)
        self._announcement = announcement

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to serve, then prints the line."""
        await super().startup(sockets=sockets)
        print(self._announcement, flush=True)


def _run(
    service: Service, topology: Topology, port: int, path: Path, bus: AbstractAsyncContextManager[Bus] | None
) -> None:
    name = service.participant.name
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
            # Not later: two processes may both bind, but only one can listen.
            listener.listen()
        except OSError as error:
            _exit_with(
                f"the {name} service cannot listen on {HOST}:{port}: {error.strerror}; choose another --port"
            )
        try:
            with telemetry(load_settings(), service=name):
                asyncio.run(_serve(service, topology, listener, path, bus))
        except ConfigurationError as error:
            _exit_with(str(error))
        except sqlite3.Error as error:
            _exit_with(f"the {name} service cannot use the database {str(path)!r}: {error}")


async def _serve(
    service: Service,
    topology: Topology,
    listener: socket.socket,
    path: Path,
    bus: AbstractAsyncContextManager[Bus] | None,
) -> None:
    """Serves until SIGTERM or SIGINT; committed effects survive any end of the process."""
    gates = Gates()
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            Database.open(path, schema=build_schema(service.participant))
        )
        running = None
        if bus is not None:
            connected = await stack.enter_async_context(bus)
            reacting = react_to_events(service, topology, database, connected, gates)
            running = await stack.enter_async_context(reacting)
        config = server_config(create_app(service, database, gates=gates, running=running))
        port = listener.getsockname()[1]
        server = _AnnouncingServer(config, f"{service.participant.name} ready at http://{HOST}:{port}")
        # uvicorn raises the signal again after the shutdown; the process must still end with exit code 0.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, functools.partial(_stop, server))
        await server.serve(sockets=[listener])


def server_config(app: FastAPI) -> uvicorn.Config:
    """Returns the configuration of the HTTP server."""
    return uvicorn.Config(
        app,
        http=DroppableConnection,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )


def _stop(server: uvicorn.Server, number: int, frame: object) -> None:
    del number, frame
    server.should_exit = True


def _exit_with(reason: str) -> NoReturn:
    print(reason, file=sys.stderr)
    raise SystemExit(1)
