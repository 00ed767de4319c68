"""Presents the results of benchmarks: as tables for people, and as data for programs."""

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks.comparison import Comparison, Figure


def print_tables(comparisons: Sequence[Comparison], console: Console) -> None:
    """Prints a table for each comparison."""
    for comparison in comparisons:
        console.print(_table(comparison))
    console.print(
        "A ratio is the median over the rounds, with the lowest and the highest. "
        f"[bold]Absolute figures depend on this machine[/bold] ({_machine()}): compare the ratios."
    )


def as_data(comparisons: Sequence[Comparison]) -> dict[str, object]:
    """Converts the results to JSON types."""
    return {
        "machine": _machine(),
        "comparisons": [
            {
                "name": comparison.name,
                "ours": comparison.ours,
                "baseline": comparison.baseline,
                **asdict(comparison.size),
                "figures": [_figure_as_data(figure) for figure in comparison.figures],
            }
            for comparison in comparisons
        ],
    }


def _figure_as_data(figure: Figure) -> dict[str, object]:
    return {
        "name": figure.name,
        "unit": figure.unit,
        "ours": median(figure.ours),
        "baseline": median(figure.baseline),
        "ratio": {
            "median": median(figure.ratios),
            "lowest": min(figure.ratios),
            "highest": max(figure.ratios),
        },
    }


def _table(comparison: Comparison) -> Table:
    size = comparison.size
    table = Table(
        title=comparison.title,
        caption=f"{size.sagas} sagas per side and round, one at a time and then {size.at_once} at once; "
        f"{size.rounds} rounds",
    )
    table.add_column("per saga")
    for side in (comparison.ours, comparison.baseline):
        table.add_column(f"{side}, here", justify="right", style="dim")
    table.add_column(f"{comparison.ours} / {comparison.baseline}", justify="right", style="bold")
    table.add_column("rounds", justify="right")
    for figure in comparison.figures:
        table.add_row(
            figure.name,
            _absolute(figure.ours, figure.unit),
            _absolute(figure.baseline, figure.unit),
            f"\N{MULTIPLICATION SIGN}{median(figure.ratios):.2f}",
            f"{min(figure.ratios):.2f} to {max(figure.ratios):.2f}",
        )
    return table


def _absolute(values: Sequence[float], unit: str) -> str:
    return f"{median(values):.1f} {unit}" if unit else f"{median(values):.0f}"


def _machine() -> str:
    return (
        f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, "
        f"temporalio {version('temporalio')}"
    )
