"""The `sagas` command."""

import asyncio
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from ._connection import configured_server
from ._exit import run_main
from ._settings import Settings, load_settings
from ._signals import stop_signals, wait_for_stop
from ._temporal_options import TemporalOptions
from ._temporal_server import EmbeddedTemporal

app = typer.Typer(
    name="sagas",
    help="Run sagas, and see what they do.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

DataFolder = Annotated[
    Path | None, typer.Option("--data", help="Where the server keeps its data; SAGAS_DATA_FOLDER, or .sagas.")
]


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
def dev(*, data: DataFolder = None) -> None:
    """Run a durable Temporal server with its Web UI until Ctrl-C."""
    run_main(_dev(data))


async def _dev(data: Path | None) -> None:
    settings = load_settings()
    if data is not None:
        settings = settings.model_copy(update={"data_folder": data})
    if configured := configured_server():
        typer.echo(
            f"Temporal's own configuration names the server at {configured.address} "
            f"(namespace {configured.namespace!r}), so none is started.\n"
            "To run one here, unset TEMPORAL_ADDRESS, TEMPORAL_PROFILE and TEMPORAL_CONFIG_FILE."
        )
        return
    await _serve(settings)


async def _serve(settings: Settings) -> None:
    options = TemporalOptions(
        port=settings.temporal_port, ui_port=settings.ui_port, retention=settings.retention
    )
    server = EmbeddedTemporal(settings.data_folder, options=options)
    with stop_signals() as stop:
        async with server:
            ending = asyncio.create_task(server.process.wait())
            typer.echo(
                f"Temporal   {server.address}\n"
                f"Web UI     {server.ui_url}\n"
                f"Data       {server.folder}\n"
                f"Log        {server.log}\n"
                "Ready. Press Ctrl-C to stop; what has happened is kept."
            )
            await wait_for_stop(stop, ending)
            ending.cancel()
            if not stop.is_set():
                raise server.process.ended()
        typer.echo("Stopped.")
