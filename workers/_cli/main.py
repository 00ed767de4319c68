"""The `sagas` command."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from .._configuration.settings import Settings, load_settings
from .._connections.rabbitmq import configured_broker, without_password
from .._connections.temporal import configured_server
from .._errors import MissingProgramError
from .._servers.rabbitmq_node import EmbeddedRabbit, find_rabbitmq
from .._servers.temporal_options import TemporalOptions
from .._servers.temporal_server import EmbeddedTemporal
from .._worker.stop_signals import stop_signals, wait_for_stop
from .exit_codes import run_main
from .history_commands import histories
from .operator_commands import add_commands

app = typer.Typer(
    name="sagas",
    help="Run sagas, and see what they do.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(histories)

Server = EmbeddedTemporal | EmbeddedRabbit
DataFolder = Annotated[
    Path | None, typer.Option("--data", help="Where servers keep their data; SAGAS_DATA_FOLDER, or .sagas.")
]
NoBroker = Annotated[bool, typer.Option("--no-broker", help="Start no RabbitMQ broker.")]


add_commands(app)


def main() -> None:
    """The entry point of the `sagas` command."""
    app()


def show_version(is_wanted: bool) -> None:  # noqa: FBT001 - typer calls it with the value of the flag
    """Prints the version and ends."""
    if is_wanted:
        typer.echo(f"sagas {version('durable-sagas')}")
        raise typer.Exit


@app.callback()
def sagas(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Run sagas, and see what they do."""


@app.command()
def dev(*, data: DataFolder = None, no_broker: NoBroker = False) -> None:
    """Run a durable Temporal server with its Web UI, and a RabbitMQ broker, until Ctrl-C."""
    run_main(_dev(data, wants_broker=not no_broker))


async def _dev(data: Path | None, *, wants_broker: bool) -> None:
    settings = load_settings()
    if data is not None:
        settings = settings.model_copy(update={"data_folder": data})
    servers: list[Server] = []
    # The broker first: servers stop in reverse order, and it is Temporal's workers that publish.
    if wants_broker and (broker := _broker(settings)):
        servers.append(broker)
    if temporal := _temporal(settings):
        servers.append(temporal)
    if servers:
        await _serve(servers)


def _temporal(settings: Settings) -> EmbeddedTemporal | None:
    if configured := configured_server():
        typer.echo(
            f"Temporal's own configuration names the server at {configured.address} "
            f"(namespace {configured.namespace!r}), so none is started.\n"
            "To run one here, unset TEMPORAL_ADDRESS, TEMPORAL_PROFILE and TEMPORAL_CONFIG_FILE."
        )
        return None
    options = TemporalOptions(
        port=settings.temporal_port, ui_port=settings.ui_port, retention=settings.retention
    )
    return EmbeddedTemporal(settings.data_folder, options=options)


def _broker(settings: Settings, *, find: Callable[[], Path] = find_rabbitmq) -> EmbeddedRabbit | None:
    if configured := configured_broker(settings):
        typer.echo(f"SAGAS_AMQP_URL names the broker at {configured.address}, so none is started.")
        return None
    try:
        binary = find()
    except MissingProgramError as error:
        typer.echo(f"No RabbitMQ broker is started: {error}.")
        return None
    return EmbeddedRabbit(settings.data_folder, port=settings.amqp_port, binary=binary)


async def _serve(servers: Sequence[Server]) -> None:
    with stop_signals() as stop:
        async with AsyncExitStack() as running:
            for server in servers:
                running.push_async_callback(server.stop)
            started = await asyncio.gather(*(server.start() for server in servers), return_exceptions=True)
            # Where both fail, Temporal's error is told: without it there is nothing to go on with.
            for error in filter(None, reversed(started)):
                raise error
            typer.echo("\n".join(line for server in reversed(servers) for line in _lines(server)))
            typer.echo("Ready. Press Ctrl-C to stop; what has happened is kept.")
            await _watch(servers, stop)
        typer.echo("Stopped.")


async def _watch(servers: Sequence[Server], stop: asyncio.Event) -> None:
    """Returns when a signal came; raises when a server ended by itself."""
    endings = [asyncio.create_task(server.process.wait()) for server in servers]
    first = asyncio.create_task(asyncio.wait(endings, return_when=asyncio.FIRST_COMPLETED))
    await wait_for_stop(stop, first)
    for task in (first, *endings):
        task.cancel()
    if not stop.is_set():
        raise next(server.process.ended() for server in servers if not server.process.is_running)


def _lines(server: Server) -> list[str]:
    if isinstance(server, EmbeddedTemporal):
        return [
            f"Temporal   {server.address}",
            f"Web UI     {server.ui_url}",
            f"  data     {server.folder}",
            f"  log      {server.log}",
        ]
    return [
        f"RabbitMQ   {without_password(server.url)}",
        f"  password {server.folder / 'rabbitmq.json'}",
        f"  log      {server.log}",
    ]
