"""`python -m examples.compare demo`: watch the example sagas on real servers."""

from typing import Annotated

import typer
from rich.console import Console

from examples.compare.demo import show
from examples.compare.scenarios import ORDERS, PAYMENTS
from workers import run_main

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def compare() -> None:
    """Watch the example sagas on real servers."""


@app.command()
def demo(
    only: Annotated[list[str] | None, typer.Option(help="The name of a scenario; may be repeated.")] = None,
) -> None:
    """Runs every scenario, tells its story, and checks its end in every service."""
    known = {scenario.name: scenario for scenario in (*ORDERS, *PAYMENTS)}
    if unknown := [name for name in only or () if name not in known]:
        raise typer.BadParameter(f"{', '.join(unknown)}; choose from: {', '.join(known)}")
    run_main(show([known[name] for name in only or known], Console()))


if __name__ == "__main__":
    app()
