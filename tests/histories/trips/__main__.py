"""Records trips for the tests of what operators see of them: `python -m tests.histories.trips`."""

import json
import shutil
from pathlib import Path
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from sagas import SagaPlugin
from sagas.operator import SKIP, SkipRequest
from tests.temporal.conftest import FLAGS
from tests.temporal.fixtures.trip_saga import Plan, refuses
from tests.temporal.fixtures.trip_worker import Handle, Stage
from workers import run_main

FOLDER = Path(__file__).parent


async def record() -> None:
    """Runs each trip once, and writes its history, and its child's, beside this file."""
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=shutil.which("temporal"), dev_server_extra_args=FLAGS
    )
    async with environment:
        address = environment.client.service_client.config.target_host
        stage = Stage(await Client.connect(address, plugins=[SagaPlugin()]), cache=1000)
        await stage.open()
        stage.agency.when("cancel-flight", refuses("too_late"))
        settled = await stage.start("hotel", "flight", Plan(do=("car",)), "look", "fail")
        await stage.status(settled, "stuck")
        await _write(settled, "stuck")
        note = SkipRequest(step="book-flight", by="mia", because="a credit note was sent")
        await stage.ask(settled, SKIP, note)
        await stage.ending(settled)
        await _write(settled, "settled")
        await _write(stage.child_of(settled, "leg"), "settled-leg")
        terminated = await stage.start("hotel", "flight", "wait")
        await stage.event(terminated, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=2)
        await terminated.terminate(reason="by mistake")
        await _write(terminated, "terminated")
        completed = await stage.start("hotel", "pay", "ticket")
        await stage.ending(completed)
        await _write(completed, "completed")
        await stage.close()


async def _write(handle: Handle, name: str) -> None:
    history = _scrubbed(json.loads((await handle.fetch_history()).to_json()))
    (FOLDER / f"{name}.json").write_text(json.dumps(history, indent=1) + "\n")


def _scrubbed(value: Any) -> Any:
    """Without what says where it was recorded: stack traces and the names of machines."""
    if isinstance(value, dict):
        return {key: _scrubbed(each) for key, each in value.items() if key not in {"stackTrace", "identity"}}
    return [_scrubbed(each) for each in value] if isinstance(value, list) else value


if __name__ == "__main__":
    run_main(record())
