"""The benchmarks run, and what they count is the same on both sides."""

import json
import subprocess
import sys
from pathlib import Path

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


@pytest.mark.usefixtures("temporal_program")
def test_a_saga_that_completes_costs_no_event_and_no_task_more_than_by_hand(tmp_path: Path) -> None:
    """Beside plain temporalio, the happy path of the SDK adds nothing to history; figures come as JSON."""
    file = tmp_path / "figures.json"
    effort = ["--sagas", "2", "--rounds", "1", "--at-once", "2"]
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--only", "completed", *effort, "--json", file],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    (comparison,) = json.loads(file.read_text())["comparisons"]
    ratios = {figure["name"]: figure["ratio"] for figure in comparison["figures"]}
    assert (comparison["name"], comparison["ours"], comparison["baseline"]) == ("completed", "SDK", "plain")
    assert ratios.keys() - {"worker CPU"} == FIGURES
    assert all(0 < r["lowest"] <= r["median"] <= r["highest"] for r in ratios.values())
    assert ratios["history events"]["median"] == 1.0
    assert ratios["workflow tasks"]["median"] == 1.0
