"""A child as the pivot of the parent."""

import pytest
from temporalio.api.enums.v1 import EventType

from sagas.operator import COMPLETE, SKIP, CompleteRequest, SkipRequest

from ..fixtures.trip_participants import fails
from ..fixtures.trip_plan import TripPlan
from ..fixtures.worker_harness import Ending, WorkerHarness

STARTED = EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED


def leg(*do: str) -> TripPlan:
    return TripPlan(do=do, is_pivot=True)


async def test_a_child_with_a_pivot_is_the_pivot_of_the_parent(harness: WorkerHarness) -> None:
    """Steps after the child are retried, and never compensated."""
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


async def test_a_child_failed_before_its_pivot_is_a_rejected_pivot(harness: WorkerHarness) -> None:
    """The child has compensated, and the parent compensates as well."""
    trip = await harness.start_trip("hotel", leg("flight", "fail", "pay"), "ticket")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "Planned")
    assert harness.participants.started == ["book-hotel", "book-flight", "cancel-flight", "cancel-hotel"]


async def test_a_cancel_before_the_childs_pivot_compensates_both(harness: WorkerHarness) -> None:
    """P6: the child's steps and the parent's steps are compensated, the newest first."""
    trip = await harness.start_trip("hotel", leg("flight", "sleep", "pay"), "ticket")
    await harness.wait_for_event(trip, STARTED)
    await harness.wait_for_event(harness.child_of(trip, "leg"), EventType.EVENT_TYPE_TIMER_STARTED)
    await trip.cancel()

    assert await harness.wait_for_ending(trip) == Ending("CANCELED", "compensated")
    assert harness.participants.started == ["book-hotel", "book-flight", "cancel-flight", "cancel-hotel"]


async def test_a_cancel_after_the_childs_pivot_has_no_effect(harness: WorkerHarness) -> None:
    """P6: the child and the parent go forward, and complete."""
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


async def test_a_plain_child_may_be_the_pivot(harness: WorkerHarness) -> None:
    """After the completed child, the saga only goes forward."""
    trip = await harness.start_trip("hotel", leg("flight"), "ticket")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


@pytest.mark.parametrize("verb", [SKIP, COMPLETE])
async def test_an_operator_resolves_an_interrupted_pivot_child(harness: WorkerHarness, verb: str) -> None:
    """With an unknown outcome of the pivot, the saga neither goes forward nor compensates before a verb."""
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
async def test_a_plain_child_has_no_pivot(harness: WorkerHarness, do: TripPlan | str) -> None:
    """A child must stay compensatable until the root closes."""
    outer = do if isinstance(do, TripPlan) else TripPlan(do=(do,))
    trip = await harness.start_trip("hotel", outer)

    ending = await harness.wait_for_ending(trip)
    assert (ending.closed, ending.code) == ("FAILED", "DefinitionError")
    assert "pay" not in harness.participants.started
