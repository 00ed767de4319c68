"""`python -m examples.patterns [NAME]`: runs one pattern, or all, and prints what happens."""

import inspect
import logging
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from temporalio.client import Client

from examples.patterns.scenarios.catalog import PATTERNS, Scenario
from sagas import Compensated, SagaPlugin
from sagas.testing import SagaRun
from workers import EmbeddedTemporal, TemporalOptions, run_main


async def main(names: Sequence[str], console: Console) -> int:
    """Plays the named patterns, or all; returns 0, or 2 for an unknown name.

    Raises:
        SagaTestError: A saga has another end than the scenario says.
    """
    if unknown := [name for name in names if name not in PATTERNS]:
        console.print(f"no pattern is named {', '.join(unknown)}; the patterns are {', '.join(PATTERNS)}")
        return 2
    await play({name: PATTERNS[name] for name in names or PATTERNS}, console)
    return 0


async def play(patterns: Mapping[str, Sequence[Scenario]], console: Console) -> None:
    """Runs the scenarios of patterns on a server of their own, and prints the trace and the end of each.

    Raises:
        SagaTestError: A saga has another end than the scenario says.
    """
    # The scripts let attempts fail, and Temporal logs each failed attempt with a traceback.
    logging.getLogger("temporalio.activity").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        async with EmbeddedTemporal(Path(folder), options=TemporalOptions.for_tests()) as server:
            client = await Client.connect(server.address, plugins=[SagaPlugin()])
            for name, scenarios in patterns.items():
                console.print(f"[bold]{name}[/bold]")
                for scenario in scenarios:
                    _print(console, scenario, await scenario(client))


def _print(console: Console, scenario: Scenario, run: SagaRun) -> None:
    console.print(f"  {escape(inspect.getdoc(scenario) or '')}")
    for line in run.trace:
        console.print(f"    {escape(line)}")
    code = f": {run.outcome.code}" if isinstance(run.outcome, Compensated) else ""
    console.print(f"    → {type(run.outcome).__name__.lower()}{escape(code)}")
    console.print(f"      effects: {escape(', '.join(run.remaining_effects) or 'none')}")


if __name__ == "__main__":
    run_main(main(sys.argv[1:], Console(highlight=False)))
