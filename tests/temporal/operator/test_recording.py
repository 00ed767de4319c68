"""Recordings contain the histories of a saga and its children, and replay from files."""

import asyncio
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from workers import ConfigurationError, read_recordings, replay_recordings
from workers._histories.recorder import record_history

from ..fixtures.continuing_saga import LapSaga
from ..fixtures.trip_plan import TripPlan
from ..fixtures.trip_saga import TripSaga
from ..fixtures.worker_harness import WorkerHarness

once = pytest.mark.parametrize("harness", [1000], indirect=True, ids=["cached"])


@once
async def test_children_are_recorded_with_their_root(harness: WorkerHarness, tmp_path: Path) -> None:
    """Each history has a file, the manifest lists the files, and all files replay."""
    trip = await harness.start_trip(
        "hotel", TripPlan(do=("flight", TripPlan(do=("car",), name="far")), name="leg"), "fail"
    )
    await harness.wait_for_ending(trip)

    recording = await record_history(harness.client, trip.id, tmp_path)

    assert recording.folder == tmp_path / trip.id
    assert [(run.file, run.workflow_id, run.last_event) for run in recording.manifest.runs] == [
        ("1-TripSaga.json", trip.id, "WorkflowExecutionFailed"),
        ("2-TripSaga.json", f"{trip.id}/leg", "WorkflowExecutionCompleted"),
        ("3-TripSaga.json", f"{trip.id}/leg/far", "WorkflowExecutionCompleted"),
    ]
    replayed = await replay_recordings(read_recordings(tmp_path), [TripSaga])
    assert [each.difference for each in replayed] == ["", "", ""]


async def test_all_runs_of_a_continued_workflow_are_recorded(client: Client, tmp_path: Path) -> None:
    """The server's answer for the workflow id is the last run only."""
    name = f"relay-{uuid4().hex[:8]}"
    async with Worker(client, task_queue=name, workflows=[LapSaga]):
        await client.execute_workflow(LapSaga.run, 3, id=name, task_queue=name)

    recording = await record_history(client, name, tmp_path)

    assert [run.last_event for run in recording.manifest.runs] == [
        *["WorkflowExecutionContinuedAsNew"] * 2,
        "WorkflowExecutionCompleted",
    ]
    replayed = await replay_recordings(read_recordings(tmp_path), [LapSaga])
    assert [each.difference for each in replayed] == ["", "", ""]


@once
async def test_open_saga_is_recorded_up_to_its_last_event(harness: WorkerHarness, tmp_path: Path) -> None:
    """Changed workflow code must be able to continue open sagas."""
    latch = harness.participants.block("book-hotel")
    trip = await harness.start_trip("hotel")
    await latch.entered.wait()

    recording = await record_history(harness.client, trip.id, tmp_path)

    latch.released.set()
    assert recording.manifest.runs[0].last_event == "ActivityTaskScheduled"
    assert [each.difference for each in await replay_recordings([recording], [TripSaga])] == [""]


@once
async def test_recording_is_never_overwritten(harness: WorkerHarness, tmp_path: Path) -> None:
    """The recording may belong to running sagas."""
    trip = await harness.start_trip("hotel")
    await harness.wait_for_ending(trip)
    await record_history(harness.client, trip.id, tmp_path)

    with pytest.raises(ConfigurationError, match="exists already"):
        await record_history(harness.client, trip.id, tmp_path)


@once
async def test_record_command_records_known_sagas(
    harness: WorkerHarness, server: str, tmp_path: Path
) -> None:
    """The command prints a line for each recorded saga, and an error for an unknown id."""
    trip = await harness.start_trip("hotel")
    await harness.wait_for_ending(trip)

    record = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "workers", "histories", "record", trip.id, "nobody", "--to", str(tmp_path)],
        env={"TEMPORAL_ADDRESS": server, "PYTHONPATH": str(Path(__file__).parents[3]), "PATH": ""},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await asyncio.wait_for(record.communicate(), timeout=60)

    assert output.decode() == f"recorded {trip.id!r}: 1 history in {tmp_path / trip.id}\n"
    assert errors.decode() == (
        "error: saga 'nobody' was not found; "
        "check the id (the server deletes closed sagas after the retention period)\n"
    )
    assert record.returncode == 1
