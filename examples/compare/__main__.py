"""`python -m examples.compare demo` plays every scenario; `… run` compares the styles."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from examples.compare.comparison import compare
from examples.compare.measurement.load import Load
from examples.compare.measurement.order_plan import plan_orders
from examples.compare.reporting.html_page import render_page
from examples.compare.reporting.terminal_table import print_comparison
from examples.demo.demo import run_demo
from examples.order.deployment import DEPLOYMENT
from examples.order.scenarios import ORDERS
from examples.payment.scenarios import PAYMENTS
from workers import load_settings, run_main

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def main() -> None:
    """Play the example sagas on real servers, and compare the styles."""


@app.command()
def demo(
    only: Annotated[list[str] | None, typer.Option(help="The name of a scenario; may be repeated.")] = None,
) -> None:
    """Plays every scenario in each style, prints the timeline, and checks the end state in every service."""
    known = {scenario.name: scenario for scenario in (*ORDERS, *PAYMENTS)}
    if unknown := [name for name in only or () if name not in known]:
        raise typer.BadParameter(f"unknown: {', '.join(unknown)}; choose from: {', '.join(known)}")
    run_main(run_demo([known[name] for name in only or known], DEPLOYMENT, Console()))


@app.command()
def run(
    *,
    orders: Annotated[int, typer.Option(min=5, max=10_000, help="The number of orders in each style.")] = 200,
    concurrency: Annotated[
        int, typer.Option(min=1, max=500, help="The number of orders in progress at a time.")
    ] = 20,
    seed: Annotated[int, typer.Option(help="Chooses the orders that meet a fault or a refusal.")] = 1,
    json: Annotated[Path | None, typer.Option(help="Write the figures to this file.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report to this file, as one page.")] = None,
) -> None:
    """Runs the same orders in both styles, checks for equal end states, and measures the costs."""
    load = Load(planned=plan_orders(orders, seed=seed), concurrency=concurrency, seed=seed)
    run_main(_run(load, json, html))


async def _run(load: Load, json: Path | None, html: Path | None) -> int:
    console = Console()
    console.print("[bold]Starting[/] the services, Temporal, RabbitMQ and a worker …")
    columns = (TextColumn("{task.description:>14}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        comparison = await compare(load_settings(), load, progress)
    print_comparison(comparison, console)
    files = {json: comparison.model_dump_json(indent=2), html: render_page(comparison) if html else ""}
    for file, text in files.items():
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            console.print(f"written: {file}", highlight=False)
    return 0 if comparison.is_good else 1


if __name__ == "__main__":
    app()
