"""A saga starts a limited number of activities and children at once; the others follow."""

from uuid import uuid4

import pytest
from temporalio.api.enums.v1 import EventType

from sagas._run import concurrency_limit

from ..fixtures.author_workflows import FanOut, OneStepChild
from ..fixtures.trip_participants import ActivityLatch
from ..fixtures.trip_plan import TripPlan
from ..fixtures.worker_harness import Ending, Handle, WorkerHarness

WORKFLOWS = [FanOut, OneStepChild]
LIMIT = 10
STEPS = 25
SCHEDULED = EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
STARTS = {SCHEDULED, EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED}
ENDS = {
    EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED,
}


@pytest.fixture(autouse=True)
def _low_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set up before the harness, whose last act is the replay of the histories."""
    monkeypatch.setattr(concurrency_limit, "MOST_UNDER_WAY", LIMIT)


async def start(harness: WorkerHarness, what: str, number: int) -> Handle:
    fan_out_id = f"fan-out-{uuid4().hex[:8]}"
    harness.workflow_ids.append(fan_out_id)
    return await harness.client.start_workflow(
        FanOut.__name__,
        TripPlan(do=(what, str(number))),
        id=fan_out_id,
        task_queue=harness.task_queue,
        result_type=object,
    )


async def most_at_once(handle: Handle) -> int:
    """The largest number of activities and children that were under way at the same time."""
    under_way = most = 0
    async for event in handle.fetch_history_events():
        under_way += (event.event_type in STARTS) - (event.event_type in ENDS)
        most = max(most, under_way)
    return most


@pytest.mark.parametrize(("what", "step"), [("steps", "flight"), ("children", "hotel")])
async def test_what_is_above_the_limit_follows(harness: WorkerHarness, what: str, step: str) -> None:
    """Every step and child is done and compensated, with at most the limit under way at any time."""
    trip = await start(harness, what, STEPS)

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "Planned")
    assert harness.participants.started == [f"book-{step}"] * STEPS + [f"cancel-{step}"] * STEPS
    assert await most_at_once(trip) == LIMIT


async def test_a_cancel_withdraws_the_steps_that_wait(harness: WorkerHarness) -> None:
    """The steps above the limit were not sent, and are not compensated."""
    flights = ActivityLatch()
    harness.participants.when("book-flight", *[flights.block] * STEPS)
    trip = await start(harness, "steps", STEPS)
    await harness.wait_for_event(trip, SCHEDULED, nth=LIMIT)

    await trip.cancel()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED)
    flights.released.set()

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    scheduled = [
        event.activity_task_scheduled_event_attributes.activity_type.name
        async for event in trip.fetch_history_events()
        if event.event_type == SCHEDULED
    ]
    assert scheduled.count("book-flight") == LIMIT


async def test_a_saga_below_the_limit_has_no_marker(harness: WorkerHarness) -> None:
    """The history of a usual saga stays as short as before."""
    trip = await start(harness, "steps", LIMIT - 1)
    await harness.wait_for_ending(trip)

    kinds = [event.event_type async for event in trip.fetch_history_events()]
    assert EventType.EVENT_TYPE_MARKER_RECORDED not in kinds
