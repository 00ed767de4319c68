"""The first cause of a compensation counts: no later request, cancel or timeout replaces the cause."""

import pytest
from temporalio.api.enums.v1 import EventType

from sagas.operator import COMPENSATE, OperatorRequest

from ..fixtures.trip_participants import rejects
from ..fixtures.trip_plan import TripPlan
from ..fixtures.worker_harness import Ending, Handle, WorkerHarness

MIA = OperatorRequest(by="mia", because="a call from the customer")
FAILED = EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED
TASK_COMPLETED = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
CANCEL_REQUESTED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED

pytestmark = pytest.mark.parametrize("later", ["compensate", "cancel"])


async def send(harness: WorkerHarness, trip: Handle, later: str) -> None:
    """Sends the later cause, and waits until a worker has processed the cause."""
    if later == "compensate":
        await harness.send_update(trip, COMPENSATE, MIA)
        return
    await trip.cancel()
    requested = await harness.wait_for_event(trip, CANCEL_REQUESTED)
    await harness.wait_for_event(trip, TASK_COMPLETED, after=requested.event_id)


async def test_own_failure_of_a_child_counts_before_a_later_request(
    harness: WorkerHarness, later: str
) -> None:
    """The child compensates already when the request reaches the parent."""
    latch = harness.participants.block("cancel-flight")
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "fail")), "look")
    await latch.entered.wait()

    await send(harness, trip, later)
    latch.released.set()

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "Planned")
    assert harness.participants.started[2:] == ["cancel-flight", "cancel-hotel"]


async def test_own_failure_of_a_pivot_child_counts_before_a_later_request(
    harness: WorkerHarness, later: str
) -> None:
    """The pivot has not happened, and the parent names the failure of the child."""
    latch = harness.participants.block("cancel-flight")
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "fail", "pay"), is_pivot=True))
    await latch.entered.wait()

    await send(harness, trip, later)
    latch.released.set()

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "Planned")


@pytest.mark.parametrize("branches", ["hotel|flight", "hotel/flight"])
async def test_failure_of_a_branch_counts_before_a_later_request(
    harness: WorkerHarness, later: str, branches: str
) -> None:
    """The request arrives while another branch runs to its end, or is being cancelled."""
    latch = harness.participants.block("book-hotel")
    harness.participants.when("book-flight", rejects("no_seat"))
    trip = await harness.start_trip("car", branches)
    await latch.entered.wait()
    failed = await harness.wait_for_event(trip, FAILED)
    await harness.wait_for_event(trip, TASK_COMPLETED, after=failed.event_id)

    await send(harness, trip, later)
    latch.released.set()

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "no_seat")
    assert harness.participants.started[-2:] == ["cancel-hotel", "cancel-car"]


async def test_own_failure_of_a_child_in_a_branch_counts_before_a_later_request(
    harness: WorkerHarness, later: str
) -> None:
    """The other branch is interrupted by the request, and is not the cause."""
    latch = harness.participants.block("cancel-flight")
    legs = (TripPlan(do=("flight", "fail"), name="first"),)
    trip = await harness.start_trip("hotel", "sleep|first", legs=legs)
    await latch.entered.wait()

    await send(harness, trip, later)
    latch.released.set()

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "Planned")


async def test_accepted_compensate_counts_before_a_cancel(harness: WorkerHarness, later: str) -> None:
    """A second cause of either kind changes nothing: the first cause is the operator's request."""
    latch = harness.participants.block("book-flight")
    trip = await harness.start_trip("hotel", "flight", "look")
    await latch.entered.wait()
    await harness.send_update(trip, COMPENSATE, MIA)

    if later == "cancel":
        await send(harness, trip, later)
    else:
        assert "compensating already" in await harness.rejected_update(trip, COMPENSATE, MIA)
    latch.released.set()

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "compensation_requested")


async def test_cancel_counts_before_a_compensate(harness: WorkerHarness, later: str) -> None:
    """The saga that was cancelled closes as cancelled, and refuses the request of an operator."""
    latch = harness.participants.block("book-flight")
    trip = await harness.start_trip("hotel", "flight", "look", seconds=None if later == "cancel" else 0.5)
    await latch.entered.wait()
    await send(harness, trip, "cancel")

    assert "compensating already" in await harness.rejected_update(trip, COMPENSATE, MIA)
    if later != "cancel":
        await harness.wait_for_event(trip, EventType.EVENT_TYPE_TIMER_FIRED)
    latch.released.set()

    assert await harness.wait_for_ending(trip) == Ending("CANCELED", "compensated")
