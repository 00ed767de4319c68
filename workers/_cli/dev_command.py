"""The command `sagas dev`: runs the embedded servers until Ctrl-C."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import typer

from .._configuration.settings import Settings, load_settings
from .._connections.rabbitmq import find_configured_broker, remove_password
from .._connections.temporal import find_configured_server
from .._errors import MissingProgramError
from .._servers.rabbitmq_node import EmbeddedRabbitMQ, find_rabbitmq_program
from .._servers.temporal_options import TemporalOptions
from .._servers.temporal_server import EmbeddedTemporal
from .._worker.stop_signals import stop_signals, wait_for_stop
from .exit_codes import run_main

Server = EmbeddedTemporal | EmbeddedRabbitMQ
DataFolder = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="FOLDER",
        help="The data folder; by default SAGAS_DATA_FOLDER, else the nearest .sagas in this folder and its "
        "parents, else a new .sagas.",
    ),
]
NoBroker = Annotated[bool, typer.Option("--no-broker", help="Start no RabbitMQ broker.")]


def dev(*, data: DataFolder = None, no_broker: NoBroker = False) -> None:
    """Run Temporal with its Web UI, and RabbitMQ, until Ctrl-C.

    Both servers are durable: a later start continues with the same data, on the same ports. RabbitMQ runs
    where installed: sagas in Temporal need no RabbitMQ, choreographed sagas do.
    """
    run_main(_run_servers(data, wants_broker=not no_broker))


async def _run_servers(data: Path | None, *, wants_broker: bool) -> None:
    settings = load_settings()
    if data is not None:
        settings = settings.model_copy(update={"data_folder": data})
    servers: list[Server] = []
    # The broker first: servers stop in reverse order, and Temporal's workers publish to the broker.
    if wants_broker and (broker := create_broker(settings)):
        servers.append(broker)
    if temporal := _create_temporal(settings):
        servers.append(temporal)
    if servers:
        await _serve(servers)


def _create_temporal(settings: Settings) -> EmbeddedTemporal | None:
    if configured := find_configured_server():
        typer.echo(
            "No Temporal server is started: Temporal's own configuration names the server at "
            f"{configured.address} (namespace {configured.namespace!r}).\n"
            "To run a server here, unset TEMPORAL_ADDRESS, TEMPORAL_PROFILE and TEMPORAL_CONFIG_FILE."
        )
        return None
    options = TemporalOptions(
        port=settings.temporal_port, ui_port=settings.ui_port, retention=settings.retention
    )
    return EmbeddedTemporal(settings.data_folder, options=options)


def create_broker(
    settings: Settings, *, find: Callable[[], Path] = find_rabbitmq_program
) -> EmbeddedRabbitMQ | None:
    """Creates the embedded node; prints the reason and returns None when there is nothing to start."""
    if configured := find_configured_broker(settings):
        typer.echo(f"No RabbitMQ broker is started: SAGAS_AMQP_URL names the broker at {configured.address}.")
        return None
    try:
        binary = find()
    except MissingProgramError as error:
        typer.echo(
            f"No RabbitMQ broker is started: {error}.\n"
            "Sagas in Temporal need no broker; choreographed sagas do."
        )
        return None
    return EmbeddedRabbitMQ(settings.data_folder, port=settings.amqp_port, binary=binary)


async def _serve(servers: Sequence[Server]) -> None:
    with stop_signals() as stop:
        async with AsyncExitStack() as running:
            for server in servers:
                running.push_async_callback(server.stop)
            results = await asyncio.gather(*(server.start() for server in servers), return_exceptions=True)
            # When both starts fail, the error of Temporal is reported: no saga runs without Temporal.
            for error in filter(None, reversed(results)):
                raise error
            lines = (line for server in reversed(servers) for line in (*_summary(server), *_ports(server)))
            typer.echo("\n".join((*lines, *_exports(servers))))
            typer.echo("Ready. Press Ctrl-C to stop; all data is kept.")
            await _watch(servers, stop)
        typer.echo("Stopped.")


async def _watch(servers: Sequence[Server], stop: asyncio.Event) -> None:
    """Returns after a stop signal; raises when a server has ended without a stop signal."""
    ends = [asyncio.create_task(server.process.wait()) for server in servers]
    first_end = asyncio.create_task(asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED))
    await wait_for_stop(stop, first_end)
    for task in (first_end, *ends):
        task.cancel()
    if not stop.is_set():
        raise next(server.process.exit_error() for server in servers if not server.process.is_running)


def _summary(server: Server) -> list[str]:
    if isinstance(server, EmbeddedTemporal):
        return [
            f"Temporal   {server.address}",
            f"Web UI     {server.ui_url}",
            f"  data     {server.folder}",
            f"  log      {server.log}",
        ]
    return [
        f"RabbitMQ   {remove_password(server.url)}",
        f"  password {server.folder / 'rabbitmq.json'}",
        f"  log      {server.log}",
    ]


def _ports(server: Server) -> list[str]:
    """Names each preferred port that the server could not get."""
    return [
        *(
            f"Port {wanted} was in use: port {port} is used instead, and at later starts."
            for wanted, port in server.replaced_ports.items()
        ),
        *([f"To try again, delete {server.ports_file}"] if server.replaced_ports else []),
    ]


def _exports(servers: Sequence[Server]) -> list[str]:
    """The variable for programs that connect without `workers.connect`."""
    addresses = [server.address for server in servers if isinstance(server, EmbeddedTemporal)]
    return [
        line
        for address in addresses
        for line in ("For your programs, in other terminals:", f"  export TEMPORAL_ADDRESS={address}")
    ]
