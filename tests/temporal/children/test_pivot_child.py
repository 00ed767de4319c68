"""A child as the point of no return."""

import pytest
from temporalio.api.enums.v1 import EventType

from sagas.operator import COMPLETE, SKIP, CompleteRequest, SkipRequest

from ..fixtures.trip_participants import fails
from ..fixtures.trip_plan import TripPlan
from ..fixtures.worker_harness import Ending, WorkerHarness

STARTED = EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED


def leg(*do: str) -> TripPlan:
    return TripPlan(do=do, is_pivot=True)


async def test_a_child_with_a_pivot_is_the_pivot_of_its_parent(harness: WorkerHarness) -> None:
    """What follows it is retried, and never compensated."""
    harness.participants.when("send-ticket", fails())
    trip = await harness.start_trip("hotel", leg("flight", "pay", "look"), "ticket")
    await harness.wait_for_status(trip, "stuck")
    await harness.retry_stuck(trip)

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started == [
        "book-hotel",
        "book-flight",
        "pay",
        "look-around",
        *["send-ticket"] * 2,
    ]


async def test_a_child_that_fails_before_its_pivot_is_a_pivot_that_did_not_happen(
    harness: WorkerHarness,
) -> None:
    """It has made up for itself, and its parent does the same."""
    trip = await harness.start_trip("hotel", leg("flight", "fail", "pay"), "ticket")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "Planned")
    assert harness.participants.started == ["book-hotel", "book-flight", "cancel-flight", "cancel-hotel"]


async def test_a_cancel_before_the_childs_pivot_turns_both_round(harness: WorkerHarness) -> None:
    """P6."""
    trip = await harness.start_trip("hotel", leg("flight", "sleep", "pay"), "ticket")
    await harness.wait_for_event(trip, STARTED)
    await harness.wait_for_event(harness.child_of(trip, "leg"), EventType.EVENT_TYPE_TIMER_STARTED)
    await trip.cancel()

    assert await harness.wait_for_ending(trip) == Ending("CANCELED", "compensated")
    assert harness.participants.started == ["book-hotel", "book-flight", "cancel-flight", "cancel-hotel"]


async def test_a_cancel_after_the_childs_pivot_changes_nothing(harness: WorkerHarness) -> None:
    """P6: the child goes forward, and so does its parent."""
    trip = await harness.start_trip("hotel", leg("pay", "wait"), "ticket")
    await harness.wait_for_event(trip, STARTED)
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await harness.wait_for_event(child, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, nth=2)
    await trip.cancel()
    await harness.wait_for_event(child, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
    await child.signal("go")

    assert (await harness.wait_for_ending(child)).closed == "COMPLETED"
    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started == ["book-hotel", "pay", "send-ticket"]


async def test_a_child_without_a_pivot_may_be_one(harness: WorkerHarness) -> None:
    """Once it is completed, nothing of it is made up for any more."""
    trip = await harness.start_trip("hotel", leg("flight"), "ticket")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


@pytest.mark.parametrize("verb", [SKIP, COMPLETE])
async def test_a_person_says_what_became_of_a_child_that_is_lost_as_the_pivot(
    harness: WorkerHarness, verb: str
) -> None:
    """Nobody else knows on which side of the pivot it was, so nothing goes forward or back until then."""
    trip = await harness.start_trip("hotel", leg("pay", "wait"), "ticket")
    await harness.wait_for_event(trip, STARTED)
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await child.terminate("somebody did")
    await harness.wait_for_status(trip, "stuck")
    assert harness.participants.started == ["book-hotel", "pay"]

    if verb == SKIP:
        await harness.send_update(trip, SKIP, SkipRequest(by="mia", because="no money came", step="leg"))
    else:
        done = CompleteRequest(by="mia", because="it is paid", step="leg", result=["pay"])
        await harness.send_update(trip, COMPLETE, done)

    assert (await harness.wait_for_ending(trip)).saga == "settled"
    assert harness.participants.started[-1] == ("cancel-hotel" if verb == SKIP else "send-ticket")


@pytest.mark.parametrize("do", [TripPlan(do=("pay",)), "pay"])
async def test_a_child_that_is_no_pivot_has_none(harness: WorkerHarness, do: TripPlan | str) -> None:
    """It must stay compensatable until its root closes."""
    outer = do if isinstance(do, TripPlan) else TripPlan(do=(do,))
    trip = await harness.start_trip("hotel", outer)

    ending = await harness.wait_for_ending(trip)
    assert (ending.closed, ending.code) == ("FAILED", "DefinitionError")
    assert "pay" not in harness.participants.started
