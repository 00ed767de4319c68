"""A cancel before the pivot compensates, whenever it comes, and never stops a compensation."""

import asyncio

import pytest
from temporalio.api.enums.v1 import EventType

from ..fixtures.trip_participants import Gate, breaks, refuses
from ..fixtures.trip_plan import Booking, Plan
from ..fixtures.worker_harness import Ending, Stage

CANCELLED = Ending("CANCELED", "compensated")
TASK_DONE = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
CANCEL_REQUESTED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED


async def test_cancel_while_a_failure_is_compensated_loses_nothing(stage: Stage) -> None:
    """All compensations run, and the saga still fails with its first failure."""
    stage.agency.when("book-car", refuses())
    gate = stage.agency.hold("cancel-flight")
    trip = await stage.start("tell", "hotel", "flight", "car")
    await gate.entered.wait()

    await trip.cancel()
    await stage.event(trip, CANCEL_REQUESTED)
    await stage.event(trip, TASK_DONE, nth=5)
    gate.opened.set()

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "sold_out")
    assert stage.agency.story[3:] == ["cancel-flight", "cancel-hotel", "tell-customer"]


@pytest.mark.parametrize("wait", ["sleep", "wait"])
async def test_cancel_in_a_wait_of_the_workflow_compensates(stage: Stage, wait: str) -> None:
    """Timers and conditions raise a `CancelledError`, which is no `Exception`."""
    trip = await stage.start("hotel", "flight", wait)
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=2)

    await trip.cancel()

    assert await stage.ending(trip) == CANCELLED
    assert stage.agency.story == ["book-hotel", "book-flight", "cancel-flight", "cancel-hotel"]


async def test_cancel_that_a_step_swallows_turns_round_after_it(stage: Stage) -> None:
    """An activity without a heartbeat hears no cancel and ends well; the saga does not go on."""
    gate = stage.agency.hold("book-flight")
    trip = await stage.start("hotel", "flight", "look", "pay")
    await gate.entered.wait()

    await trip.cancel()
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED)
    gate.opened.set()

    assert await stage.ending(trip) == CANCELLED
    assert stage.agency.story == ["book-hotel", "book-flight", "cancel-flight", "cancel-hotel"]


async def test_cancel_that_arrives_with_the_answer_turns_round(stage: Stage) -> None:
    """Answer and cancel reach the workflow in one task, as no worker was there in between."""
    gate = stage.agency.hold("book-flight")
    trip = await stage.start("hotel", "flight", "look", "pay")
    await gate.entered.wait()
    await stage.close()  # the activity is cut off, and tried again by nobody: its outcome is unknown

    await trip.cancel()
    await stage.open()

    assert await stage.ending(trip) == CANCELLED
    assert stage.agency.story == ["book-hotel", "book-flight", "cancel-flight", "cancel-hotel"]


async def test_cancel_that_the_workflow_swallows_turns_round_at_the_next_step(stage: Stage) -> None:
    """Code that catches its `CancelledError` does not get any further."""
    trip = await stage.start("hotel", "wait-deaf", "flight")
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)

    await trip.cancel()

    assert await stage.ending(trip) == CANCELLED
    assert stage.agency.story == ["book-hotel", "cancel-hotel"]


async def test_cancel_that_the_workflow_swallows_at_its_end_still_compensates(stage: Stage) -> None:
    """A saga that was cancelled before its end is never completed."""
    trip = await stage.start("hotel", "wait-deaf")
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)

    await trip.cancel()

    assert await stage.ending(trip) == CANCELLED


async def test_cancel_before_the_first_task_does_nothing_at_all(stage: Stage) -> None:
    """What was never sent is not compensated."""
    await stage.close()
    trip = await stage.start("hotel", "flight")
    await trip.cancel()

    await stage.open()

    assert await stage.ending(trip) == CANCELLED
    assert stage.agency.story == []


async def test_cancel_of_a_step_that_no_worker_took_is_not_compensated(stage: Stage) -> None:
    """A single attempt that has not begun is withdrawn: it cannot have happened."""
    trip = await stage.start("hotel", "once-far-car")
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, nth=2)

    await trip.cancel()

    assert await stage.ending(trip) == CANCELLED
    assert stage.agency.story == ["book-hotel", "cancel-hotel"]


async def test_cancel_of_a_step_of_several_attempts_is_compensated(stage: Stage) -> None:
    """Temporal does not tell whether an earlier attempt has begun, so it may have happened."""
    trip = await stage.start("hotel", "far-car")
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, nth=2)

    await trip.cancel()
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED)
    await stage.open("nobody")

    assert await stage.ending(trip) == CANCELLED
    assert stage.agency.story == ["book-hotel", "cancel-car", "cancel-hotel"]


async def test_second_cancel_changes_nothing(stage: Stage) -> None:
    """An impatient operator does not stop the compensations."""
    gate = stage.agency.hold("cancel-hotel")
    trip = await stage.start("hotel", "wait")
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await trip.cancel()
    await gate.entered.wait()

    await trip.cancel()
    gate.opened.set()

    assert await stage.ending(trip) == CANCELLED


async def test_compensation_never_overtakes_its_action(stage: Stage) -> None:
    """An action that hears the cancel is waited for until it has ended, and then made up for."""
    gate = stage.agency.hold("book-flight")
    trip = await stage.start("flight")
    await gate.entered.wait()

    await trip.cancel()
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED)
    assert stage.agency.log == ["+book-flight"]
    gate.opened.set()

    assert await stage.ending(trip) == CANCELLED
    assert stage.agency.log[:3] == ["+book-flight", "-book-flight", "+cancel-flight"]


async def test_action_that_obeys_a_cancel_is_compensated(stage: Stage) -> None:
    """It has begun, so something of it may be left."""
    gate = Gate()
    stage.agency.when("book-car", gate.hold_and_beat)
    trip = await stage.start("car")
    await gate.entered.wait()

    await trip.cancel()

    assert await stage.ending(trip) == CANCELLED
    assert stage.agency.log == ["+book-car", "+cancel-car", "-cancel-car"]


async def test_cancel_of_an_activity_outside_of_a_step_closes_as_cancelled(stage: Stage) -> None:
    """A plain activity in the block reports the cancel as an `ActivityError`; it is a cancel all the same."""
    gate = stage.agency.hold("book-car")
    trip = await stage.start("hotel", "plain-activity")
    await gate.entered.wait()

    await trip.cancel()

    assert await stage.ending(trip) == CANCELLED
    assert stage.agency.story[-1] == "cancel-hotel"
    gate.opened.set()


async def test_error_of_a_task_that_the_workflow_cancelled_itself_compensates_and_fails(
    stage: Stage,
) -> None:
    """A `CancelledError` without a cancel of the workflow is a failure like any other."""
    trip = await stage.start("hotel", "own-cancel")

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "CancelledError")
    assert stage.agency.story == ["book-hotel", "cancel-hotel"]


async def test_worker_that_stops_while_compensating_is_replaced_by_the_next(stage: Stage) -> None:
    """No compensation is lost, and none that is through is repeated."""
    stage.agency.when("book-car", refuses())
    gate = stage.agency.hold("cancel-hotel")
    trip = await stage.start("hotel", "flight", "car")
    await gate.entered.wait()

    await stage.close()
    await trip.cancel()
    await stage.open()

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "sold_out")
    assert stage.agency.story[3:] == ["cancel-flight", "cancel-hotel", "cancel-hotel"]


async def test_cancel_that_a_step_swallowed_does_not_hinder_an_eviction(stage: Stage) -> None:
    """A saga that was cancelled in an activity and is stuck can leave the worker's cache, and come back."""
    gate = stage.agency.hold("book-flight")
    stage.agency.when("cancel-hotel", refuses())
    trip = await stage.start("hotel", "flight")
    await gate.entered.wait()
    await trip.cancel()
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED)
    gate.opened.set()
    await stage.status(trip, "stuck")

    await stage.close()
    await stage.open()
    await stage.retry(trip)

    assert await stage.ending(trip) == CANCELLED


async def test_every_compensation_runs_when_one_of_them_fails_at_first(stage: Stage) -> None:
    """A cancel in the pause between two rounds is none of their business either."""
    stage.agency.when("cancel-flight", breaks())
    trip = await stage.start("hotel", "flight", "fail")
    await stage.status(trip, "stuck")

    await trip.cancel()
    await stage.event(trip, CANCEL_REQUESTED)
    await stage.retry(trip)

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "ApplicationError")
    assert stage.agency.story[2:] == ["cancel-flight", "cancel-hotel", "cancel-flight"]


async def test_time_limit_in_a_saga_is_no_cancel(stage: Stage) -> None:
    """`asyncio.timeout` cancels the same task as Temporal does; nothing is compensated for it."""
    trip = await stage.start("hotel", "time-limit", "flight")

    assert (await stage.ending(trip)).closed == "COMPLETED"


async def test_cancel_at_any_event_ends_in_compensated(stage: Stage) -> None:
    """Wherever it hits a saga with a child, whatever has begun is made up for, newest first."""

    async def cancel_at(moment: int, last: str = "look") -> None:
        trip = await stage.start("hotel", Plan(do=("car", last)), "flight", "wait")
        async with asyncio.timeout(20):
            async for event in trip.fetch_history_events(wait_new_event=True):
                if event.event_id >= moment:
                    break
        await trip.cancel()
        assert await stage.ending(trip) == CANCELLED
        begun = [
            (name, key)
            for name, key in stage.agency.calls
            if key.startswith((f"{trip.id}:", f"{trip.id}/")) and not key.endswith("look-around")
        ]
        booked = [key for name, key in begun if name.startswith("book")]
        made_up = [key for name, key in begun if name.startswith("cancel")]
        assert set(booked) <= set(made_up)
        order = [f"{trip.id}:book-flight", f"{trip.id}/leg:book-car", f"{trip.id}:book-hotel"]
        assert made_up == [key for key in order if key in made_up]

    await asyncio.gather(*map(cancel_at, range(1, 9)))
    await asyncio.gather(*map(cancel_at, range(9, 18)))
    # While it starts, the child must hear of the cancel: this one does not end by itself.
    await asyncio.gather(*(cancel_at(moment, "wait") for moment in range(5, 11)))


@pytest.mark.parametrize("who", ["cancel", "deadline"])
@pytest.mark.parametrize("answer", ["done", "refused"])
async def test_an_answer_that_comes_together_with_a_cancel_counts(
    stage: Stage, who: str, answer: str
) -> None:
    """P4: what was refused is not compensated, and what was done is with its result.

    Both wait for the workflow where no worker has taken its tasks for a moment.
    """
    await stage.close()
    workflows = await stage.open(activities=False)
    await stage.open(workflows=False)
    gate = Gate()

    async def hold_and_answer() -> object:
        await gate.hold()
        return await refuses()() if answer == "refused" else None

    stage.agency.when("book-hotel", hold_and_answer)
    trip = await stage.start("hotel", "flight", seconds=3 if who == "deadline" else None)
    await gate.entered.wait()
    await stage.close(workflows)
    if who == "cancel":
        await trip.cancel()
        await stage.event(trip, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
    else:
        await stage.event(trip, EventType.EVENT_TYPE_TIMER_FIRED)
    gate.opened.set()
    refused, done = EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
    await stage.event(trip, refused if answer == "refused" else done)
    await stage.open(activities=False)

    assert (await stage.ending(trip)).saga == "compensated"
    assert stage.agency.story[1:] == ([] if answer == "refused" else ["cancel-hotel"])
    assert stage.agency.results == ([] if answer == "refused" else [Booking(number="book-hotel-1")])
