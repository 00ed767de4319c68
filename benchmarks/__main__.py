"""`python -m benchmarks`: measure what sagas cost, as ratios."""

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.comparison import ActivityRecord, Comparison
from benchmarks.report import as_data, show
from benchmarks.sdk import SDK, compare_sdk
from benchmarks.server import SERVER, compare_server
from workers import run_main

NAMES = (*SDK, SERVER)


def main() -> None:
    """Reads the command line, and measures."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure what sagas cost, as ratios."
    )
    parser.add_argument("--only", action="append", choices=NAMES, help="one comparison; may be repeated")
    parser.add_argument("--sagas", type=int, default=12, help="a side and round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="each gives a ratio (default: %(default)s)")
    parser.add_argument("--at-once", type=int, default=6, help="sagas open at a time (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    chosen = parser.parse_args()
    if chosen.sagas < 2 or chosen.rounds < 1 or chosen.at_once < 1:
        parser.error("at least 2 sagas, 1 round and 1 at once are needed")
    effort = ActivityRecord(sagas=chosen.sagas, rounds=chosen.rounds, at_once=chosen.at_once)
    run_main(measure(chosen.only or NAMES, effort, chosen.json))


async def measure(names: Sequence[str], effort: ActivityRecord, file: Path | None) -> None:
    """Measures, prints what came of it, and writes it to `file`."""
    console = Console()
    comparisons: list[Comparison] = []
    with (
        tempfile.TemporaryDirectory(prefix="benchmarks-") as data,
        console.status("measuring; the figures come at the end"),
    ):
        comparisons += await compare_sdk([name for name in names if name in SDK], effort, Path(data))
        if SERVER in names:
            comparisons.append(await compare_server(effort, Path(data)))
    show(comparisons, console)
    if file is not None:
        # Nothing else runs in this loop any more.
        file.write_text(json.dumps(as_data(comparisons), indent=2) + "\n")  # noqa: ASYNC240


if __name__ == "__main__":
    main()
