"""A cancel before the pivot compensates, whenever it comes, and never stops a compensation."""

import asyncio

import pytest
from temporalio.api.enums.v1 import EventType

from ..fixtures.trip_participants import ActivityLatch, fails, rejects
from ..fixtures.trip_plan import Booking, TripPlan
from ..fixtures.worker_harness import Ending, WorkerHarness

CANCELLED = Ending("CANCELED", "compensated")
TASK_DONE = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
CANCEL_REQUESTED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED


async def test_cancel_while_a_failure_is_compensated_loses_nothing(harness: WorkerHarness) -> None:
    """All compensations run, and the saga still fails with its first failure."""
    harness.participants.when("book-car", rejects())
    latch = harness.participants.block("cancel-flight")
    trip = await harness.start_trip("tell", "hotel", "flight", "car")
    await latch.entered.wait()

    await trip.cancel()
    await harness.wait_for_event(trip, CANCEL_REQUESTED)
    await harness.wait_for_event(trip, TASK_DONE, nth=5)
    latch.released.set()

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "sold_out")
    assert harness.participants.started[3:] == ["cancel-flight", "cancel-hotel", "tell-customer"]


@pytest.mark.parametrize("wait", ["sleep", "wait"])
async def test_cancel_in_a_wait_of_the_workflow_compensates(harness: WorkerHarness, wait: str) -> None:
    """Timers and conditions raise a `CancelledError`, which is no `Exception`."""
    trip = await harness.start_trip("hotel", "flight", wait)
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=2)

    await trip.cancel()

    assert await harness.wait_for_ending(trip) == CANCELLED
    assert harness.participants.started == ["book-hotel", "book-flight", "cancel-flight", "cancel-hotel"]


async def test_cancel_that_a_step_swallows_turns_round_after_it(harness: WorkerHarness) -> None:
    """An activity without a heartbeat hears no cancel and ends well; the saga does not go on."""
    latch = harness.participants.block("book-flight")
    trip = await harness.start_trip("hotel", "flight", "look", "pay")
    await latch.entered.wait()

    await trip.cancel()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED)
    latch.released.set()

    assert await harness.wait_for_ending(trip) == CANCELLED
    assert harness.participants.started == ["book-hotel", "book-flight", "cancel-flight", "cancel-hotel"]


async def test_cancel_that_arrives_with_the_answer_turns_round(harness: WorkerHarness) -> None:
    """Answer and cancel reach the workflow in one task, as no worker was there in between."""
    latch = harness.participants.block("book-flight")
    trip = await harness.start_trip("hotel", "flight", "look", "pay")
    await latch.entered.wait()
    await harness.stop_workers()  # the activity is cut off, and tried again by nobody: its outcome is unknown

    await trip.cancel()
    await harness.start_worker()

    assert await harness.wait_for_ending(trip) == CANCELLED
    assert harness.participants.started == ["book-hotel", "book-flight", "cancel-flight", "cancel-hotel"]


async def test_cancel_that_the_workflow_swallows_turns_round_at_the_next_step(harness: WorkerHarness) -> None:
    """Code that catches its `CancelledError` does not get any further."""
    trip = await harness.start_trip("hotel", "wait-ignoring-cancel", "flight")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)

    await trip.cancel()

    assert await harness.wait_for_ending(trip) == CANCELLED
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_cancel_that_the_workflow_swallows_at_its_end_still_compensates(harness: WorkerHarness) -> None:
    """A saga that was cancelled before its end is never completed."""
    trip = await harness.start_trip("hotel", "wait-ignoring-cancel")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)

    await trip.cancel()

    assert await harness.wait_for_ending(trip) == CANCELLED


async def test_cancel_before_the_first_task_does_nothing_at_all(harness: WorkerHarness) -> None:
    """What was never sent is not compensated."""
    await harness.stop_workers()
    trip = await harness.start_trip("hotel", "flight")
    await trip.cancel()

    await harness.start_worker()

    assert await harness.wait_for_ending(trip) == CANCELLED
    assert harness.participants.started == []


async def test_cancel_of_a_step_that_no_worker_took_is_not_compensated(harness: WorkerHarness) -> None:
    """A single attempt that has not begun is withdrawn: it cannot have happened."""
    trip = await harness.start_trip("hotel", "car-once-on-unpolled-queue")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, nth=2)

    await trip.cancel()

    assert await harness.wait_for_ending(trip) == CANCELLED
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_cancel_of_a_step_of_several_attempts_is_compensated(harness: WorkerHarness) -> None:
    """Temporal does not tell whether an earlier attempt has begun, so it may have happened."""
    trip = await harness.start_trip("hotel", "car-on-unpolled-queue")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, nth=2)

    await trip.cancel()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED)
    await harness.start_worker("unpolled-queue")

    assert await harness.wait_for_ending(trip) == CANCELLED
    assert harness.participants.started == ["book-hotel", "cancel-car", "cancel-hotel"]


async def test_second_cancel_changes_nothing(harness: WorkerHarness) -> None:
    """An impatient operator does not stop the compensations."""
    latch = harness.participants.block("cancel-hotel")
    trip = await harness.start_trip("hotel", "wait")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await trip.cancel()
    await latch.entered.wait()

    await trip.cancel()
    latch.released.set()

    assert await harness.wait_for_ending(trip) == CANCELLED


async def test_compensation_never_overtakes_its_action(harness: WorkerHarness) -> None:
    """An action that hears the cancel is waited for until it has ended, and then made up for."""
    latch = harness.participants.block("book-flight")
    trip = await harness.start_trip("flight")
    await latch.entered.wait()

    await trip.cancel()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED)
    assert harness.participants.log == ["+book-flight"]
    latch.released.set()

    assert await harness.wait_for_ending(trip) == CANCELLED
    assert harness.participants.log[:3] == ["+book-flight", "-book-flight", "+cancel-flight"]


async def test_action_that_obeys_a_cancel_is_compensated(harness: WorkerHarness) -> None:
    """It has begun, so something of it may be left."""
    latch = ActivityLatch()
    harness.participants.when("book-car", latch.block_with_heartbeats)
    trip = await harness.start_trip("car")
    await latch.entered.wait()

    await trip.cancel()

    assert await harness.wait_for_ending(trip) == CANCELLED
    assert harness.participants.log == ["+book-car", "+cancel-car", "-cancel-car"]


async def test_cancel_of_an_activity_outside_of_a_step_closes_as_cancelled(harness: WorkerHarness) -> None:
    """A plain activity in the block reports the cancel as an `ActivityError`; it is a cancel all the same."""
    latch = harness.participants.block("book-car")
    trip = await harness.start_trip("hotel", "plain-activity")
    await latch.entered.wait()

    await trip.cancel()

    assert await harness.wait_for_ending(trip) == CANCELLED
    assert harness.participants.started[-1] == "cancel-hotel"
    latch.released.set()


async def test_error_of_a_task_that_the_workflow_cancelled_itself_compensates_and_fails(
    harness: WorkerHarness,
) -> None:
    """A `CancelledError` without a cancel of the workflow is a failure like any other."""
    trip = await harness.start_trip("hotel", "own-cancel")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "CancelledError")
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_worker_that_stops_while_compensating_is_replaced_by_the_next(harness: WorkerHarness) -> None:
    """No compensation is lost, and none that is through is repeated."""
    harness.participants.when("book-car", rejects())
    latch = harness.participants.block("cancel-hotel")
    trip = await harness.start_trip("hotel", "flight", "car")
    await latch.entered.wait()

    await harness.stop_workers()
    await trip.cancel()
    await harness.start_worker()

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "sold_out")
    assert harness.participants.started[3:] == ["cancel-flight", "cancel-hotel", "cancel-hotel"]


async def test_cancel_that_a_step_swallowed_does_not_hinder_an_eviction(harness: WorkerHarness) -> None:
    """A saga that was cancelled in an activity and is stuck can leave the worker's cache, and come back."""
    latch = harness.participants.block("book-flight")
    harness.participants.when("cancel-hotel", rejects())
    trip = await harness.start_trip("hotel", "flight")
    await latch.entered.wait()
    await trip.cancel()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED)
    latch.released.set()
    await harness.wait_for_status(trip, "stuck")

    await harness.stop_workers()
    await harness.start_worker()
    await harness.retry_stuck(trip)

    assert await harness.wait_for_ending(trip) == CANCELLED


async def test_every_compensation_runs_when_one_of_them_fails_at_first(harness: WorkerHarness) -> None:
    """A cancel in the pause between two rounds is none of their business either."""
    harness.participants.when("cancel-flight", fails())
    trip = await harness.start_trip("hotel", "flight", "fail")
    await harness.wait_for_status(trip, "stuck")

    await trip.cancel()
    await harness.wait_for_event(trip, CANCEL_REQUESTED)
    await harness.retry_stuck(trip)

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "Planned")
    assert harness.participants.started[2:] == ["cancel-flight", "cancel-hotel", "cancel-flight"]


async def test_time_limit_in_a_saga_is_no_cancel(harness: WorkerHarness) -> None:
    """`asyncio.timeout` cancels the same task as Temporal does; nothing is compensated for it."""
    trip = await harness.start_trip("hotel", "asyncio-timeout", "flight")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


async def test_cancel_at_any_event_ends_in_compensated(harness: WorkerHarness) -> None:
    """Wherever it hits a saga with a child, whatever has begun is made up for, newest first."""

    async def cancel_at(moment: int, last: str = "look") -> None:
        trip = await harness.start_trip("hotel", TripPlan(do=("car", last)), "flight", "wait")
        async with asyncio.timeout(20):
            async for event in trip.fetch_history_events(wait_new_event=True):
                if event.event_id >= moment:
                    break
        await trip.cancel()
        assert await harness.wait_for_ending(trip) == CANCELLED
        begun = [
            (name, key)
            for name, key in harness.participants.calls
            if key.startswith((f"{trip.id}:", f"{trip.id}/")) and not key.endswith("look-around")
        ]
        booked = [key for name, key in begun if name.startswith("book")]
        compensated = [key for name, key in begun if name.startswith("cancel")]
        assert set(booked) <= set(compensated)
        order = [f"{trip.id}:book-flight", f"{trip.id}/leg:book-car", f"{trip.id}:book-hotel"]
        assert compensated == [key for key in order if key in compensated]

    await asyncio.gather(*map(cancel_at, range(1, 9)))
    await asyncio.gather(*map(cancel_at, range(9, 18)))
    # While it starts, the child must hear of the cancel: this one does not end by itself.
    await asyncio.gather(*(cancel_at(moment, "wait") for moment in range(5, 11)))


@pytest.mark.parametrize("who", ["cancel", "deadline"])
@pytest.mark.parametrize("answer", ["done", "refused"])
async def test_an_answer_that_comes_together_with_a_cancel_counts(
    harness: WorkerHarness, who: str, answer: str
) -> None:
    """P4: what was refused is not compensated, and what was done is with its result.

    Both wait for the workflow where no worker has taken its tasks for a moment.
    """
    await harness.stop_workers()
    workflows = await harness.start_worker(activities=False)
    await harness.start_worker(workflows=False)
    latch = ActivityLatch()

    async def hold_and_answer() -> object:
        await latch.block()
        return await rejects()() if answer == "refused" else None

    harness.participants.when("book-hotel", hold_and_answer)
    trip = await harness.start_trip("hotel", "flight", seconds=3 if who == "deadline" else None)
    await latch.entered.wait()
    await harness.stop_workers(workflows)
    if who == "cancel":
        await trip.cancel()
        await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
    else:
        await harness.wait_for_event(trip, EventType.EVENT_TYPE_TIMER_FIRED)
    latch.released.set()
    refused, done = EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
    await harness.wait_for_event(trip, refused if answer == "refused" else done)
    await harness.start_worker(activities=False)

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started[1:] == ([] if answer == "refused" else ["cancel-hotel"])
    assert harness.participants.results == ([] if answer == "refused" else [Booking(number="book-hotel-1")])
