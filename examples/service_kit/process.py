"""One example service: `python -m examples.service_kit.process payment --database payment.sqlite3`.

With `--broker amqp://…` it also reacts to events, on the same database and with the same business code.
"""

import asyncio
import functools
import signal
import socket
import sqlite3
import sys
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from choreography import (
    Bus,
    BusUnavailableError,
    Database,
    RabbitBus,
    RunningParticipant,
    run_participant,
)
from examples.order.services import inventory, orders, shipping
from examples.payment.services import notification, payment
from workers import ConfigurationError, load_settings, telemetry

from ..order.deployment import REACTIONS, TOPOLOGY
from .event_faults import EventDoor
from .fault_injection import Gates
from .http_api import DROP, Service, door

HOST = "127.0.0.1"
GRACE_SECONDS = 2
"""How long a request that is under way may go on after SIGTERM."""

SERVICES = {
    "payment": Service(participant=payment.PAYMENT, state=payment.state, balance=payment.balance),
    "notification": Service(participant=notification.NOTIFICATION, state=notification.state),
    "order": Service(participant=orders.ORDER, state=orders.state),
    "inventory": Service(participant=inventory.INVENTORY, state=inventory.state, balance=inventory.balance),
    "shipping": Service(participant=shipping.SHIPPING, state=shipping.state),
}


class CuttableConnection(H11Protocol):
    """Lets a request cut its own connection: that is how replies get lost."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Puts the cut within reach of the application, as an ASGI extension."""
        super().connection_made(transport)
        app = self.app

        async def cuttable(scope: Any, receive: Any, send: Any) -> None:  # Any: ASGI's
            extensions = {**scope.get("extensions", {}), DROP: transport.abort}
            await app({**scope, "extensions": extensions}, receive, send)

        self.app = cuttable


class Server(uvicorn.Server):
    """Says where it listens once it does, in one line."""

    def __init__(self, config: uvicorn.Config, ready: str) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to serve, then says so."""
        await super().startup(sockets=sockets)
        print(self._ready, flush=True)


@asynccontextmanager
async def react(
    name: str, database: Database, bus: Bus, gates: Gates
) -> AsyncGenerator[RunningParticipant, None]:
    """Lets a service react to events for as long as the context is open; waits for a broker that is away."""
    while True:
        try:
            await bus.declare(TOPOLOGY)
            break
        except BusUnavailableError as error:
            print(f"{name} waits for its broker: {error}", flush=True)
    async with run_participant(REACTIONS[name], database, bus, door=EventDoor(gates)) as running:
        yield running


async def serve(
    name: str, listener: socket.socket, path: Path, bus: AbstractAsyncContextManager[Bus] | None = None
) -> None:
    """Serves until SIGTERM or SIGINT; what is committed is safe at any moment."""
    service, gates = SERVICES[name], Gates()
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database.open(path, schema=service.participant.schema))
        running = None
        if bus is not None:
            events = await stack.enter_async_context(bus)
            running = await stack.enter_async_context(react(name, database, events, gates))
        config = uvicorn.Config(
            door(service, database, gates=gates, running=running),
            http=CuttableConnection,
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        port = listener.getsockname()[1]
        server = Server(config, f"{name} ready at http://{HOST}:{port}")
        # uvicorn raises the signal again when it has shut down; it must not end the process with an error.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, functools.partial(_stop, server))
        await server.serve(sockets=[listener])


def main(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(SERVICES)}.")],
    database: Annotated[Path, typer.Option(help="Its SQLite file; created when missing.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 0,
    broker: Annotated[
        str,
        typer.Option(envvar="SAGAS_AMQP_URL", help="Where events go, too: amqp://user:password@host:port/."),
    ] = "",
) -> None:
    """Runs one example service on the loopback interface and prints its URL."""
    if name not in SERVICES:
        _fail(f"there is no service {name!r}; choose one of {', '.join(SERVICES)}")
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
            # Not later: two processes may both bind, but only one can listen.
            listener.listen()
        except OSError as error:
            _fail(
                f"the {name} service cannot listen on {HOST}:{port}: {error.strerror}; choose another --port"
            )
        try:
            with telemetry(load_settings(), service=name):
                asyncio.run(serve(name, listener, database, open_bus(broker) if broker else None))
        except ConfigurationError as error:
            _fail(str(error))
        except sqlite3.Error as error:
            _fail(f"the {name} service cannot use the database {str(database)!r}: {error}")


def open_bus(url: str) -> AbstractAsyncContextManager[Bus]:
    """A connection to a broker."""
    return RabbitBus(url)


def _stop(server: uvicorn.Server, number: int, frame: object) -> None:
    del number, frame
    server.should_exit = True


def _fail(reason: str) -> NoReturn:
    print(reason, file=sys.stderr)
    raise SystemExit(1)


if __name__ == "__main__":
    typer.run(main)
