"""Runs scenarios on real servers, in both styles, and summarizes their end states in a table."""

import secrets
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime

import httpx
from rich import box
from rich.console import Console
from rich.table import Table

from examples.stack.deployment import Deployment
from examples.stack.service_databases import ServiceDatabases
from examples.stack.stack import Stack
from workers import load_settings

from .player import ScenarioResult, choreographed, orchestrated, play
from .scenario import Scenario

NUMBERS = ("effects", "paid", "ledger", "time")


async def run_demo(scenarios: Sequence[Scenario], deployment: Deployment, console: Console) -> int:
    """Runs the scenarios in turn and returns the exit code: 0 if each ended as expected."""
    run = f"{datetime.now(UTC):%m%d-%H%M%S}-{secrets.token_hex(2)}"
    console.print("[bold]Starting[/] the services, Temporal, RabbitMQ and a worker …")
    settings = load_settings()
    async with Stack(settings, deployment, task_queue=f"demo-{run}") as stack, httpx.AsyncClient() as http:
        with closing(ServiceDatabases(deployment.services, stack.databases)) as databases:
            styles = [orchestrated(stack)]
            if stack.broker is not None:
                styles.append(choreographed(stack, databases, http))
            else:
                console.print("[yellow]RabbitMQ is not installed[/]: choreographed sagas are left out")
            results: list[ScenarioResult] = []
            for scenario in scenarios:
                console.print(f"\n[bold cyan]{scenario.title}[/]")
                for observed in styles:
                    name = observed.style.name
                    if scenario.style in (None, name) and _can_be_disturbed(scenario, stack):
                        order_id = f"{run}-{name[:1]}-{scenario.name}"
                        results.append(await play(scenario, observed, stack, order_id, console))
        console.print()
        console.print(summary_table(results))
        print_next_steps(stack.ui_url, console)
    return 1 if any(result.violations for result in results) else 0


def summary_table(results: Sequence[ScenarioResult]) -> Table:
    """A row per scenario and style; fits 80 columns."""
    table = Table(
        title="End states",
        title_justify="left",
        caption="effects: present in all services; ledger: sum of all entries, always 0",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=0,
    )
    for column in ("scenario", "style", "end", *NUMBERS, "checks"):
        table.add_column(column, justify="right" if column in NUMBERS else "left", no_wrap=True)
    last = ""
    for result in results:
        end_state, name = result.end_state, result.scenario.name
        table.add_row(
            "" if name == last else name.removeprefix("payment-"),
            result.style,
            result.status,
            str(sum(map(len, end_state.effects.values()))) if end_state else "?",
            f"{(end_state.captured - end_state.refunded) / 100:.2f}" if end_state else "?",
            str(end_state.ledger) if end_state else "?",
            f"{result.seconds:.1f}s",
            "[red]FAILED[/]" if result.violations else "[green]passed[/]",
        )
        last = name
    return table


def print_next_steps(ui_url: str | None, console: Console) -> None:
    """Prints what to do after the demo: the Web UI, the comparison, and the guide."""
    console.print("\n[bold]Next[/]")
    if ui_url:
        console.print(f"  make dev          open {ui_url}: each saga with its steps", highlight=False)
    console.print("  make compare      measure what each style costs", highlight=False)
    console.print("  docs/writing.md   write a saga of your own", highlight=False)


def _can_be_disturbed(scenario: Scenario, stack: Stack) -> bool:
    """Whether this stack has started the server that a scenario kills."""
    servers = {"temporal": stack.temporal, "rabbit": stack.rabbit, None: stack}
    return servers[scenario.kills] is not None
