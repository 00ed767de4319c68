"""Prints a comparison as a table in the terminal."""

from rich import box
from rich.console import Console
from rich.table import Table

from examples.compare.measurement.figures import Comparison
from examples.compare.reporting.metrics import METRICS, find_warnings, format_figure, judge


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Prints the figures side by side, warnings, and the invariants; fits 80 columns."""
    table = Table(title="The same orders, in both styles", title_justify="left", box=box.SIMPLE_HEAD)
    table.pad_edge, table.collapse_padding = False, True
    table.add_column("", no_wrap=True)
    for name in comparison.styles:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("better", no_wrap=True)
    for metric in METRICS:
        values = [format_figure(metric.of(figures)) for figures in comparison.styles.values()]
        name = f"{metric.name}, {metric.unit}" if metric.unit else metric.name
        table.add_row(name, *values, str(judge(metric, comparison.styles)))
    console.print()
    console.print(table)
    for name, figures in comparison.styles.items():
        states = ", ".join(f"{count} {state}" for state, count in figures.end_states.items())
        console.print(f"{name}: {states}; killed for the recovery: {figures.killed}", highlight=False)
    for warning in find_warnings(comparison):
        console.print(f"warning: {warning}", style="yellow", markup=False, highlight=False)
    console.print()
    for each in comparison.invariants:
        mark = "[green]✓[/]" if each.held else "[bold red]✗[/]"
        console.print(f"{mark} {each.name}", highlight=False)
        if each.detail:
            console.print(f"    {each.detail}", style="red", markup=False, highlight=False)
