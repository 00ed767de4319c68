"""Metrics on a real server: each change is counted once, although every workflow task is a replay."""

from collections import Counter
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from temporalio.client import Client
from temporalio.runtime import MetricBuffer, Runtime, TelemetryConfig
from temporalio.worker import Worker

from sagas import SagaPlugin

from ..fixtures.continuing_saga import LapSaga
from ..fixtures.trip_participants import rejects
from ..fixtures.worker_harness import Ending, Handle, WorkerHarness

OWN = {"service_name", "namespace", "task_queue", "workflow_type"}
"""The attributes that Temporal adds."""

BUFFER = MetricBuffer(100_000)
RUNTIME = Runtime(telemetry=TelemetryConfig(metrics=BUFFER))


@pytest.fixture
async def client(server: str) -> Client:
    """A client with readable metrics."""
    client = await Client.connect(server, plugins=[SagaPlugin()], runtime=RUNTIME)
    BUFFER.retrieve_updates()
    return client


def counted() -> tuple[Counter[tuple[str, str]], list[tuple[str, str, float]]]:
    """The count of each saga counter, by name and status, and the measured durations."""
    counters: Counter[tuple[str, str]] = Counter()
    measured: list[tuple[str, str, float]] = []
    for update in BUFFER.retrieve_updates():
        name = update.metric.name
        if not name.startswith("saga_"):
            continue
        extra = update.attributes.keys() - OWN
        assert extra <= {"status"}, f"{name} has the attributes {extra}"
        status = str(update.attributes.get("status", ""))
        if name.endswith("_duration"):
            measured.append((name, status, update.value))
        elif update.value:
            counters[name, status] += int(update.value)
    return counters, measured


async def test_saga_that_was_stuck_is_counted_once(harness: WorkerHarness) -> None:
    """The saga starts, gets stuck, recovers and ends; replays add nothing to the counters."""
    harness.participants.when("cancel-hotel", rejects("too_late"))
    trip = await harness.start_trip("hotel", "flight", "fail")
    await harness.wait_for_status(trip, "stuck")
    await harness.retry_stuck(trip)

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "Planned")
    await harness.stop_workers()
    counters, measured = counted()
    assert counters == {
        ("saga_started", ""): 1,
        ("saga_compensation_done", ""): 2,
        ("saga_compensation_failed", ""): 1,
        ("saga_stuck_entered", ""): 1,
        ("saga_stuck_left", ""): 1,
        ("saga_ended", "compensated"): 1,
    }
    assert [(name, status) for name, status, _ in measured] == [
        ("saga_stuck_duration", ""),
        ("saga_duration", "compensated"),
    ]
    assert 0 < measured[0][2] < measured[1][2]


async def test_saga_that_continues_as_new_is_one_saga(client: Client) -> None:
    """The saga starts once, ends once, and the duration begins with the first run."""
    name = f"relay-{uuid4().hex[:8]}"
    async with Worker(client, task_queue=name, workflows=[LapSaga], max_cached_workflows=0):
        handle = await client.start_workflow(LapSaga.run, 3, id=name, task_queue=name)
        assert await handle.result() == 1

    counters, measured = counted()
    assert counters == {("saga_started", ""): 1, ("saga_ended", "completed"): 1}
    description = await client.get_workflow_handle(name).describe()
    assert description.close_time is not None
    last = (description.close_time - description.start_time) / timedelta(milliseconds=1)
    assert [(name, status) for name, status, _ in measured] == [("saga_duration", "completed")]
    assert measured[0][2] > last + 100


async def test_a_worker_that_takes_over_knows_since_when_the_saga_is_stuck(harness: WorkerHarness) -> None:
    """The start of the stuck state is read from the history, not from the memory of a process."""
    harness.participants.when("cancel-hotel", rejects("too_late"))
    trip = await harness.start_trip("hotel", "fail")
    await harness.wait_for_status(trip, "stuck")
    await harness.stop_workers()
    BUFFER.retrieve_updates()

    await harness.start_worker()
    await harness.retry_stuck(trip)
    await harness.wait_for_ending(trip)
    await harness.stop_workers()

    counters, measured = counted()
    assert counters["saga_stuck_entered", ""] == 0
    assert counters["saga_stuck_left", ""] == 1
    stuck, through = await times_of_changes(trip)
    assert measured[0] == ("saga_stuck_duration", "", int((through - stuck) / timedelta(milliseconds=1)))


async def times_of_changes(trip: Handle) -> list[datetime]:
    """The workflow times of the last two changes of status."""
    events = {event.event_id: event async for event in trip.fetch_history_events()}
    changes = [
        event.upsert_workflow_search_attributes_event_attributes.workflow_task_completed_event_id
        for event in events.values()
        if event.HasField("upsert_workflow_search_attributes_event_attributes")
    ]
    tasks = [
        events[change].workflow_task_completed_event_attributes.started_event_id for change in changes[-2:]
    ]
    return [events[task].event_time.ToDatetime() for task in tasks]
