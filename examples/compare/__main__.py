"""`python -m examples.compare demo`: watch the example sagas on real servers; `… run`: compare the styles."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from examples.compare.comparison import compare
from examples.compare.measurement.order_plan import plan
from examples.compare.measurement.run import Load
from examples.compare.reporting.html_page import page
from examples.compare.reporting.terminal_table import draw
from examples.demo.demo import show
from examples.order.scenarios import ORDERS, PAYMENTS
from workers import load_settings, run_main

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def main() -> None:
    """Watch the example sagas on real servers, and compare the styles."""


@app.command()
def demo(
    only: Annotated[list[str] | None, typer.Option(help="The name of a scenario; may be repeated.")] = None,
) -> None:
    """Runs every scenario, tells its story, and checks its end in every service."""
    known = {scenario.name: scenario for scenario in (*ORDERS, *PAYMENTS)}
    if unknown := [name for name in only or () if name not in known]:
        raise typer.BadParameter(f"{', '.join(unknown)}; choose from: {', '.join(known)}")
    run_main(show([known[name] for name in only or known], Console()))


@app.command()
def run(
    *,
    orders: Annotated[int, typer.Option(min=5, max=10_000, help="How many in each style.")] = 200,
    concurrency: Annotated[int, typer.Option(min=1, max=500, help="How many are under way at a time.")] = 20,
    seed: Annotated[int, typer.Option(help="Decides which orders meet which trouble.")] = 1,
    json: Annotated[Path | None, typer.Option(help="Where the figures go.")] = None,
    html: Annotated[Path | None, typer.Option(help="Where the report goes, as one page.")] = None,
) -> None:
    """Runs the same orders in both styles, checks that they end alike, and says what each style costs."""
    load = Load(planned=plan(orders, seed=seed), concurrency=concurrency, seed=seed)
    run_main(_run(load, json, html))


async def _run(load: Load, json: Path | None, html: Path | None) -> int:
    console = Console()
    console.print("[bold]Starting[/] the services, both servers and a worker …")
    columns = (TextColumn("{task.description:>14}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        comparison = await compare(load_settings(), load, progress)
    draw(comparison, console)
    written = {json: comparison.model_dump_json(indent=2), html: page(comparison) if html else ""}
    for file, text in written.items():
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            console.print(f"written: {file}", highlight=False)
    return 0 if comparison.is_good else 1


if __name__ == "__main__":
    app()
