"""A comparison as a table in the terminal."""

from rich import box
from rich.console import Console
from rich.table import Table

from examples.compare.figures import Comparison
from examples.compare.headline import METRICS, shown, verdict


def draw(comparison: Comparison, console: Console) -> None:
    """Prints the figures side by side, and what was not as it must be."""
    table = Table(title="The same orders, in both styles", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("")
    for name in comparison.styles:
        table.add_column(name, justify="right")
    table.add_column("")
    table.add_column("better off")
    for metric in METRICS:
        values = [shown(metric.of(figures)) for figures in comparison.styles.values()]
        table.add_row(metric.name, *values, metric.unit, str(verdict(metric, comparison.styles)))
    console.print()
    console.print(table)
    for name, figures in comparison.styles.items():
        states = ", ".join(f"{count} {state}" for state, count in figures.end_states.items())
        console.print(f"{name}: {states}; {figures.killed} was killed for the recovery", highlight=False)
    console.print()
    for each in comparison.invariants:
        mark = "[green]✓[/]" if each.held else "[bold red]✗[/]"
        console.print(f"{mark} {each.name}", highlight=False)
        if each.detail:
            console.print(f"    {each.detail}", style="red", markup=False, highlight=False)
