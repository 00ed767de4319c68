"""The patterns: every scenario, and the command that plays the scenarios."""

import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from temporalio.client import Client

from examples.patterns.__main__ import play
from examples.patterns.savepoint import LakeTripSaga, Trip, boat
from examples.patterns.scenarios.catalog import PATTERNS, Scenario
from sagas import Compensated
from sagas.testing import SagaRun, SagaTestError, rejects, run_saga

ROOT = Path(__file__).parents[3]
SCENARIOS = [
    pytest.param(scenario, id=f"{name}-{scenario.__name__}")
    for name, scenarios in PATTERNS.items()
    for scenario in scenarios
]


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_scenario_ends_as_the_scenario_says(saga_client: Client, scenario: Scenario) -> None:
    """A scenario asserts outcome, trace and effects; the kit replays the history."""
    run = await scenario(saga_client)

    assert run.trace


def test_command_plays_one_pattern() -> None:
    """The command starts a server, prints the trace of each scenario, and ends with 0."""
    played = _command("savepoint")

    assert (played.returncode, played.stderr) == (0, "")
    assert "    compensate book-pitch\n    book-hut\n    pay-trip\n    → completed\n" in played.stdout


def test_command_refuses_an_unknown_pattern() -> None:
    """The exit code is 2, as for every unusable argument, and the patterns are named."""
    refused = _command("save-point")

    assert refused.returncode == 2
    assert "the patterns are savepoint, " in refused.stdout


async def test_another_end_fails_the_command() -> None:
    """A saga with another end than the scenario says raises an error; `run_main` ends with the code 1."""

    async def wrong(client: Client) -> SagaRun:
        """The hut is booked, and the scenario says otherwise."""
        run = await run_saga(LakeTripSaga.run, Trip(id="7"), client=client, steps={boat: rejects("no_boat")})
        run.assert_outcome(Compensated)
        return run

    with pytest.raises(SagaTestError, match="the outcome is Completed"):
        await play({"wrong": [wrong]}, Console(quiet=True))


def _command(*names: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "examples.patterns", *names],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
