"""A cancel before the pivot compensates at any moment, and never stops a compensation."""

import asyncio

import pytest
from temporalio.api.enums.v1 import EventType

from ..fixtures.trip_participants import ActivityLatch, fails, rejects
from ..fixtures.trip_plan import Booking, TripPlan
from ..fixtures.worker_harness import Ending, WorkerHarness

CANCELLED = Ending("CANCELED", "compensated")
TASK_DONE = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
CANCEL_REQUESTED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED


async def test_cancel_while_a_failure_is_compensated_has_no_effect(harness: WorkerHarness) -> None:
    """All compensations run, and the saga still fails with the first failure."""
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
    """Timers and conditions raise `CancelledError`, a `BaseException`, and the saga compensates."""
    trip = await harness.start_trip("hotel", "flight", wait)
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=2)

    await trip.cancel()

    assert await harness.wait_for_ending(trip) == CANCELLED
    assert harness.participants.started == ["book-hotel", "book-flight", "cancel-flight", "cancel-hotel"]


async def test_cancel_swallowed_by_a_step_compensates_after_it(harness: WorkerHarness) -> None:
    """An activity without a heartbeat receives no cancel and completes; then the saga compensates."""
    latch = harness.participants.block("book-flight")
    trip = await harness.start_trip("hotel", "flight", "look", "pay")
    await latch.entered.wait()

    await trip.cancel()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED)
    latch.released.set()

    assert await harness.wait_for_ending(trip) == CANCELLED
    assert harness.participants.started == ["book-hotel", "book-flight", "cancel-flight", "cancel-hotel"]


async def test_cancel_together_with_the_answer_compensates(harness: WorkerHarness) -> None:
    """Answer and cancel reach the workflow in the same workflow task, after a time without workers."""
    latch = harness.participants.block("book-flight")
    trip = await harness.start_trip("hotel", "flight", "look", "pay")
    await latch.entered.wait()
    await harness.stop_workers()  # the stop interrupts the only attempt: the outcome is unknown

    await trip.cancel()
    await harness.start_worker()

    assert await harness.wait_for_ending(trip) == CANCELLED
    assert harness.participants.started == ["book-hotel", "book-flight", "cancel-flight", "cancel-hotel"]


async def test_cancel_swallowed_by_the_workflow_compensates_at_the_next_step(harness: WorkerHarness) -> None:
    """After a caught `CancelledError`, the workflow starts no further step."""
    trip = await harness.start_trip("hotel", "wait-ignoring-cancel", "flight")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)

    await trip.cancel()

    assert await harness.wait_for_ending(trip) == CANCELLED
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_cancel_swallowed_at_the_end_of_the_workflow_compensates(harness: WorkerHarness) -> None:
    """A saga with a cancel before the end of the block never completes."""
    trip = await harness.start_trip("hotel", "wait-ignoring-cancel")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)

    await trip.cancel()

    assert await harness.wait_for_ending(trip) == CANCELLED


async def test_cancel_before_the_first_task_starts_no_step(harness: WorkerHarness) -> None:
    """Without a started action, no compensation runs."""
    await harness.stop_workers()
    trip = await harness.start_trip("hotel", "flight")
    await trip.cancel()

    await harness.start_worker()

    assert await harness.wait_for_ending(trip) == CANCELLED
    assert harness.participants.started == []


async def test_cancelled_step_without_a_worker_is_not_compensated(harness: WorkerHarness) -> None:
    """Temporal withdraws a single attempt before the start: the action cannot have happened."""
    trip = await harness.start_trip("hotel", "car-once-on-unpolled-queue")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, nth=2)

    await trip.cancel()

    assert await harness.wait_for_ending(trip) == CANCELLED
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_cancelled_step_of_several_attempts_is_compensated(harness: WorkerHarness) -> None:
    """Temporal does not report whether an earlier attempt has started: the action may have happened."""
    trip = await harness.start_trip("hotel", "car-on-unpolled-queue")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, nth=2)

    await trip.cancel()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED)
    await harness.start_worker("unpolled-queue")

    assert await harness.wait_for_ending(trip) == CANCELLED
    assert harness.participants.started == ["book-hotel", "cancel-car", "cancel-hotel"]


async def test_second_cancel_has_no_effect(harness: WorkerHarness) -> None:
    """The second cancel of an impatient operator does not stop the compensations."""
    latch = harness.participants.block("cancel-hotel")
    trip = await harness.start_trip("hotel", "wait")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await trip.cancel()
    await latch.entered.wait()

    await trip.cancel()
    latch.released.set()

    assert await harness.wait_for_ending(trip) == CANCELLED


async def test_compensation_never_overtakes_the_action(harness: WorkerHarness) -> None:
    """The saga waits until the cancelled action has ended, and then compensates the action."""
    latch = harness.participants.block("book-flight")
    trip = await harness.start_trip("flight")
    await latch.entered.wait()

    await trip.cancel()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED)
    assert harness.participants.log == ["+book-flight"]
    latch.released.set()

    assert await harness.wait_for_ending(trip) == CANCELLED
    assert harness.participants.log[:3] == ["+book-flight", "-book-flight", "+cancel-flight"]


async def test_action_ended_by_a_cancel_is_compensated(harness: WorkerHarness) -> None:
    """The action has started, and may have left an effect."""
    latch = ActivityLatch()
    harness.participants.when("book-car", latch.block_with_heartbeats)
    trip = await harness.start_trip("car")
    await latch.entered.wait()

    await trip.cancel()

    assert await harness.wait_for_ending(trip) == CANCELLED
    assert harness.participants.log == ["+book-car", "+cancel-car", "-cancel-car"]


async def test_cancel_of_an_activity_outside_of_a_step_closes_as_cancelled(harness: WorkerHarness) -> None:
    """A plain activity in the block raises an `ActivityError`, and the workflow closes as cancelled."""
    latch = harness.participants.block("book-car")
    trip = await harness.start_trip("hotel", "plain-activity")
    await latch.entered.wait()

    await trip.cancel()

    assert await harness.wait_for_ending(trip) == CANCELLED
    assert harness.participants.started[-1] == "cancel-hotel"
    latch.released.set()


async def test_error_of_a_task_cancelled_by_the_workflow_compensates_and_fails(
    harness: WorkerHarness,
) -> None:
    """Without a cancel of the workflow, a `CancelledError` is an ordinary failure."""
    trip = await harness.start_trip("hotel", "own-cancel")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "CancelledError")
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_next_worker_continues_the_compensations_of_a_stopped_worker(harness: WorkerHarness) -> None:
    """No compensation is lost, and no finished compensation is repeated."""
    harness.participants.when("book-car", rejects())
    latch = harness.participants.block("cancel-hotel")
    trip = await harness.start_trip("hotel", "flight", "car")
    await latch.entered.wait()

    await harness.stop_workers()
    await trip.cancel()
    await harness.start_worker()

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "sold_out")
    assert harness.participants.started[3:] == ["cancel-flight", "cancel-hotel", "cancel-hotel"]


async def test_cancel_swallowed_by_a_step_does_not_hinder_an_eviction(harness: WorkerHarness) -> None:
    """A stuck saga, cancelled during an activity, can leave the worker's cache and be replayed."""
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


async def test_every_compensation_runs_when_a_compensation_fails(harness: WorkerHarness) -> None:
    """A cancel in the pause between two rounds does not stop the compensations either."""
    harness.participants.when("cancel-flight", fails())
    trip = await harness.start_trip("hotel", "flight", "fail")
    await harness.wait_for_status(trip, "stuck")

    await trip.cancel()
    await harness.wait_for_event(trip, CANCEL_REQUESTED)
    await harness.retry_stuck(trip)

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "Planned")
    assert harness.participants.started[2:] == ["cancel-flight", "cancel-hotel", "cancel-flight"]


async def test_timeout_in_a_saga_is_no_cancel(harness: WorkerHarness) -> None:
    """`asyncio.timeout` cancels the same task as Temporal, and the saga compensates no step."""
    trip = await harness.start_trip("hotel", "asyncio-timeout", "flight")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


async def test_cancel_at_any_event_ends_in_compensated(harness: WorkerHarness) -> None:
    """At any event of a saga with a child, a cancel compensates the started steps, the newest first."""

    async def cancel_at(moment: int, last: str = "look") -> None:
        trip = await harness.start_trip("hotel", TripPlan(do=("car", last)), "flight", "wait")
        async with asyncio.timeout(20):
            async for event in trip.fetch_history_events(wait_new_event=True):
                if event.event_id >= moment:
                    break
        await trip.cancel()
        assert await harness.wait_for_ending(trip) == CANCELLED
        started = [
            (name, key)
            for name, key in harness.participants.calls
            if key.startswith((f"{trip.id}:", f"{trip.id}/")) and not key.endswith("look-around")
        ]
        booked = [key for name, key in started if name.startswith("book")]
        compensated = [key for name, key in started if name.startswith("cancel")]
        assert set(booked) <= set(compensated)
        order = [f"{trip.id}:book-flight", f"{trip.id}/leg:book-car", f"{trip.id}:book-hotel"]
        assert compensated == [key for key in order if key in compensated]

    await asyncio.gather(*map(cancel_at, range(1, 9)))
    await asyncio.gather(*map(cancel_at, range(9, 18)))
    # A cancel during the start of the child must reach the child, because a waiting child has no other end.
    await asyncio.gather(*(cancel_at(moment, "wait") for moment in range(5, 11)))


@pytest.mark.parametrize("cause", ["cancel", "deadline"])
@pytest.mark.parametrize("answer", ["done", "rejected"])
async def test_an_answer_together_with_a_cancel_counts(
    harness: WorkerHarness, cause: str, answer: str
) -> None:
    """P4: a rejected action is not compensated, and a done action is compensated with the result.

    Answer and cancel, or answer and deadline, arrive while no worker takes the workflow tasks.
    """
    await harness.stop_workers()
    workflows = await harness.start_worker(activities=False)
    await harness.start_worker(workflows=False)
    latch = ActivityLatch()

    async def hold_and_answer() -> object:
        await latch.block()
        return await rejects()() if answer == "rejected" else None

    harness.participants.when("book-hotel", hold_and_answer)
    trip = await harness.start_trip("hotel", "flight", seconds=3 if cause == "deadline" else None)
    await latch.entered.wait()
    await harness.stop_workers(workflows)
    if cause == "cancel":
        await trip.cancel()
        await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
    else:
        await harness.wait_for_event(trip, EventType.EVENT_TYPE_TIMER_FIRED)
    latch.released.set()
    rejected, done = EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
    await harness.wait_for_event(trip, rejected if answer == "rejected" else done)
    await harness.start_worker(activities=False)

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started[1:] == ([] if answer == "rejected" else ["cancel-hotel"])
    assert harness.participants.results == ([] if answer == "rejected" else [Booking(number="book-hotel-1")])
