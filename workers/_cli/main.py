"""The `sagas` command: the entry point and the list of subcommands."""

from importlib.metadata import version
from typing import Annotated

import typer

from .dev_command import dev
from .history_commands import histories
from .new_command import new
from .operator_commands import add_operator_commands

app = typer.Typer(
    name="sagas",
    help="Run, inspect and operate sagas.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Panels would cut choices in the middle of a word, and show a value for each flag.
    rich_markup_mode=None,
)
app.add_typer(histories)
add_operator_commands(app)
app.command()(dev)
app.command()(new)


def main() -> None:
    """The entry point of the `sagas` command."""
    app()


def show_version(is_wanted: bool) -> None:  # noqa: FBT001 - typer passes the value of the flag
    """Prints the version and exits."""
    if is_wanted:
        typer.echo(f"sagas {version('durable-sagas')}")
        raise typer.Exit


@app.callback()
def sagas(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Run, inspect and operate sagas."""
