"""`python -m benchmarks`: measures the costs of sagas, as ratios."""

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.comparison import Comparison, SampleSize
from benchmarks.report import as_data, print_tables
from benchmarks.sdk import SDK, compare_sdk
from benchmarks.server import SERVER, compare_server
from workers import run_main

NAMES = (*SDK, SERVER)


def main() -> None:
    """Reads the command line, and runs the benchmarks."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure the costs of sagas, as ratios."
    )
    parser.add_argument("--only", action="append", choices=NAMES, help="a comparison; may be repeated")
    parser.add_argument(
        "--sagas", type=int, default=12, help="sagas per side and round (default: %(default)s)"
    )
    parser.add_argument(
        "--rounds", type=int, default=3, help="rounds, each with a ratio (default: %(default)s)"
    )
    parser.add_argument("--at-once", type=int, default=6, help="concurrent sagas (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    chosen = parser.parse_args()
    if chosen.sagas < 2 or chosen.rounds < 1 or chosen.at_once < 1:
        parser.error("--sagas must be at least 2, --rounds and --at-once at least 1")
    size = SampleSize(sagas=chosen.sagas, rounds=chosen.rounds, at_once=chosen.at_once)
    run_main(measure(chosen.only or NAMES, size, chosen.json))


async def measure(names: Sequence[str], size: SampleSize, file: Path | None) -> None:
    """Runs the benchmarks, prints a table for each, and writes the figures to `file`."""
    console = Console()
    comparisons: list[Comparison] = []
    with (
        tempfile.TemporaryDirectory(prefix="benchmarks-") as data,
        console.status("measuring; the figures are printed at the end"),
    ):
        comparisons += await compare_sdk([name for name in names if name in SDK], size, Path(data))
        if SERVER in names:
            comparisons.append(await compare_server(size, Path(data)))
    print_tables(comparisons, console)
    if file is not None:
        # No other task runs in this loop any more.
        file.write_text(json.dumps(as_data(comparisons), indent=2) + "\n")  # noqa: ASYNC240


if __name__ == "__main__":
    main()
