"""The benchmarks run, and both sides do the same work."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FIGURES = {
    "history events",
    "workflow tasks",
    "history size",
    "latency p50",
    "latency p95",
    "throughput",
}


NAMES = ("completed", "refused")


@pytest.fixture(scope="module")
def comparisons(temporal_program: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The figures of a short run, from the JSON file."""
    file = tmp_path_factory.mktemp("benchmarks") / "figures.json"
    size = ["--sagas", "2", "--rounds", "1", "--at-once", "2"]
    only = [word for name in NAMES for word in ("--only", name)]
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks", *only, *size, "--json", file],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return {each["name"]: each for each in json.loads(file.read_text())["comparisons"]}


@pytest.mark.parametrize("name", NAMES)
def test_sdk_and_plain_temporalio_are_measured_doing_the_same_work(
    comparisons: dict[str, Any], name: str
) -> None:
    """Each comparison completes; a baseline with other activities than the SDK would be an error."""
    comparison = comparisons[name]
    ratios = {figure["name"]: figure["ratio"] for figure in comparison["figures"]}
    assert (comparison["ours"], comparison["baseline"]) == ("SDK", "plain")
    assert ratios.keys() - {"worker CPU"} == FIGURES
    assert all(0 < r["lowest"] <= r["median"] <= r["highest"] for r in ratios.values())


@pytest.mark.parametrize(("name", "more_events"), [("completed", 0), ("refused", 2)])
def test_a_saga_needs_as_many_workflow_tasks_as_plain_temporalio(
    comparisons: dict[str, Any], name: str, more_events: int
) -> None:
    """A completed saga has no additional event; a compensated saga publishes its status twice."""
    figures = {figure["name"]: figure for figure in comparisons[name]["figures"]}
    assert figures["workflow tasks"]["ratio"]["median"] == 1.0
    assert figures["history events"]["ours"] - figures["history events"]["baseline"] == more_events
