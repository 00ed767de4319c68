"""`python -m benchmarks.checkouts BEFORE`: measures the SDK of another checkout and of this one in turn."""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from benchmarks.comparison import Comparison, Figure, SampleSize
from benchmarks.report import as_data, print_tables
from benchmarks.sdk import SDK

HERE = Path(__file__).resolve().parents[1]
FEWEST_PAIRS = 10
"""Fewer pairs do not show a difference of two percent."""

Measured = Mapping[str, Mapping[str, tuple[str, float]]]
"""The unit and the value of each figure of the SDK, by the name of the comparison."""


def main() -> None:
    """Reads the command line, measures the pairs, and prints a table for each comparison."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.checkouts", description="Compare the costs of sagas in two checkouts."
    )
    parser.add_argument("before", type=Path, help="the other checkout, with its own .venv (make setup)")
    parser.add_argument("--only", action="append", choices=SDK, help="a comparison; may be repeated")
    parser.add_argument("--pairs", type=int, default=FEWEST_PAIRS, help="pairs (default: %(default)s)")
    parser.add_argument("--sagas", type=int, default=20, help="sagas per measurement (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    chosen = parser.parse_args()
    before: Path = chosen.before.resolve()
    for checkout in (before, HERE):
        if not _python_of(checkout).exists():
            parser.error(f"{str(checkout)!r} has no environment: run `make setup` there")
    if chosen.pairs < FEWEST_PAIRS:
        parser.error(f"--pairs must be at least {FEWEST_PAIRS}")
    size = SampleSize(sagas=chosen.sagas, rounds=chosen.pairs, at_once=6)
    names: Sequence[str] = chosen.only or list(SDK)
    comparisons = compare_checkouts(before, names, size)
    print_tables(comparisons, Console())
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(as_data(comparisons), indent=2) + "\n")


def compare_checkouts(before: Path, names: Sequence[str], size: SampleSize) -> list[Comparison]:
    """Measures both checkouts once in each pair; the first checkout alternates."""
    pairs: list[tuple[Measured, Measured]] = []
    for number in track(range(size.rounds), "measuring"):
        order = (before, HERE) if number % 2 == 0 else (HERE, before)
        measured = {checkout: _measure(checkout, names, size) for checkout in order}
        pairs.append((measured[HERE], measured[before]))
    return [
        Comparison(
            name=name,
            title=f"The SDK of this checkout against {before.name}: {name}",
            ours="after",
            baseline="before",
            size=size,
            figures=tuple(
                Figure(
                    name=figure,
                    unit=unit,
                    ours=tuple(after[name][figure][1] for after, _ in pairs),
                    baseline=tuple(earlier[name][figure][1] for _, earlier in pairs),
                )
                for figure, (unit, _) in pairs[0][0][name].items()
            ),
        )
        for name in names
    ]


def _measure(checkout: Path, names: Sequence[str], size: SampleSize) -> Measured:
    """Runs the benchmarks of a checkout in a process of their own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "figures.json"
        chosen = [f"--only={name}" for name in names]
        command = [
            str(_python_of(checkout)),
            "-m",
            "benchmarks",
            *chosen,
            f"--sagas={size.sagas}",
            "--rounds=1",
        ]
        ended = subprocess.run(
            [*command, f"--at-once={size.at_once}", f"--json={file}"],
            cwd=checkout,
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode != 0:
            sys.exit(f"the benchmarks of {str(checkout)!r} failed:\n{ended.stderr}")
        comparisons: list[dict[str, Any]] = json.loads(file.read_text())["comparisons"]
    return {
        each["name"]: {figure["name"]: (figure["unit"], figure["ours"]) for figure in each["figures"]}
        for each in comparisons
    }


def _python_of(checkout: Path) -> Path:
    return checkout / ".venv" / "bin" / "python"


if __name__ == "__main__":
    main()
