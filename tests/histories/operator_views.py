"""Records trips for the tests of the operator's views, also in the middle of a saga."""

import json
from pathlib import Path
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from sagas import SagaPlugin
from sagas.operator import SKIP, SkipRequest
from tests.temporal.conftest import FLAGS
from tests.temporal.fixtures.trip_participants import rejects
from tests.temporal.fixtures.trip_plan import TripPlan
from tests.temporal.fixtures.worker_harness import Handle, WorkerHarness
from workers._servers.temporal_server import find_temporal_program

ACTIVITY_COMPLETED = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
TASK_COMPLETED = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED


async def record(folder: Path) -> None:
    """Runs each trip once, and writes the histories of the trip and its child saga."""
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(find_temporal_program()), dev_server_extra_args=FLAGS
    )
    async with environment:
        address = environment.client.service_client.config.target_host
        harness = WorkerHarness(await Client.connect(address, plugins=[SagaPlugin()]), cache=1000)
        await harness.start_worker()
        harness.participants.when("cancel-flight", rejects("too_late"))
        settled = await harness.start_trip("hotel", "flight", TripPlan(do=("car",)), "look", "fail")
        await harness.wait_for_status(settled, "stuck")
        # The stuck compensation does not prevent the last one.
        compensated = await harness.wait_for_event(settled, ACTIVITY_COMPLETED, nth=5)
        await harness.wait_for_event(settled, TASK_COMPLETED, after=compensated.event_id)
        await _write(settled, folder, "stuck")
        note = SkipRequest(step="book-flight", by="mia", because="a credit note was sent")
        await harness.send_update(settled, SKIP, note)
        await harness.wait_for_ending(settled)
        await _write(settled, folder, "settled")
        await _write(harness.child_of(settled, "leg"), folder, "settled-leg")
        terminated = await harness.start_trip("hotel", "flight", "wait")
        await harness.wait_for_event(terminated, ACTIVITY_COMPLETED, nth=2)
        await terminated.terminate(reason="by mistake")
        await _write(terminated, folder, "terminated")
        completed = await harness.start_trip("hotel", "pay", "ticket")
        await harness.wait_for_ending(completed)
        await _write(completed, folder, "completed")
        await harness.stop_workers()


async def _write(handle: Handle, folder: Path, name: str) -> None:
    history = _scrubbed(json.loads((await handle.fetch_history()).to_json()))
    (folder / f"{name}.json").write_text(json.dumps(history, indent=1) + "\n")


def _scrubbed(value: Any) -> Any:
    """Removes stack traces and the names of machines."""
    if isinstance(value, dict):
        return {key: _scrubbed(each) for key, each in value.items() if key not in {"stackTrace", "identity"}}
    return [_scrubbed(each) for each in value] if isinstance(value, list) else value
