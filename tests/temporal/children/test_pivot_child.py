"""A child as the point of no return."""

import pytest
from temporalio.api.enums.v1 import EventType

from sagas.operator import COMPLETE, SKIP, CompleteRequest, SkipRequest

from ..fixtures.trip_saga import Plan, breaks
from ..fixtures.trip_worker import Ending, Stage

STARTED = EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED


def leg(*do: str) -> Plan:
    return Plan(do=do, is_pivot=True)


async def test_a_child_with_a_pivot_is_the_pivot_of_its_parent(stage: Stage) -> None:
    """What follows it is retried, and never compensated."""
    stage.agency.when("send-ticket", breaks())
    trip = await stage.start("hotel", leg("flight", "pay", "look"), "ticket")
    await stage.status(trip, "stuck")
    await stage.retry(trip)

    assert (await stage.ending(trip)).closed == "COMPLETED"
    assert stage.agency.story == ["book-hotel", "book-flight", "pay", "look-around", *["send-ticket"] * 2]


async def test_a_child_that_fails_before_its_pivot_is_a_pivot_that_did_not_happen(stage: Stage) -> None:
    """It has made up for itself, and its parent does the same."""
    trip = await stage.start("hotel", leg("flight", "fail", "pay"), "ticket")

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "ApplicationError")
    assert stage.agency.story == ["book-hotel", "book-flight", "cancel-flight", "cancel-hotel"]


async def test_a_cancel_before_the_childs_pivot_turns_both_round(stage: Stage) -> None:
    """P6."""
    trip = await stage.start("hotel", leg("flight", "sleep", "pay"), "ticket")
    await stage.event(trip, STARTED)
    await stage.event(stage.child_of(trip, "leg"), EventType.EVENT_TYPE_TIMER_STARTED)
    await trip.cancel()

    assert await stage.ending(trip) == Ending("CANCELED", "compensated")
    assert stage.agency.story == ["book-hotel", "book-flight", "cancel-flight", "cancel-hotel"]


async def test_a_cancel_after_the_childs_pivot_changes_nothing(stage: Stage) -> None:
    """P6: the child goes forward, and so does its parent."""
    trip = await stage.start("hotel", leg("pay", "wait"), "ticket")
    await stage.event(trip, STARTED)
    child = stage.child_of(trip, "leg")
    await stage.event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await stage.event(child, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, nth=2)
    await trip.cancel()
    await stage.event(child, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
    await child.signal("go")

    assert (await stage.ending(child)).closed == "COMPLETED"
    assert (await stage.ending(trip)).closed == "COMPLETED"
    assert stage.agency.story == ["book-hotel", "pay", "send-ticket"]


async def test_a_child_without_a_pivot_may_be_one(stage: Stage) -> None:
    """Once it is completed, nothing of it is made up for any more."""
    trip = await stage.start("hotel", leg("flight"), "ticket")

    assert (await stage.ending(trip)).closed == "COMPLETED"


@pytest.mark.parametrize("verb", [SKIP, COMPLETE])
async def test_a_person_says_what_became_of_a_child_that_is_lost_as_the_pivot(
    stage: Stage, verb: str
) -> None:
    """Nobody else knows on which side of the pivot it was, so nothing goes forward or back until then."""
    trip = await stage.start("hotel", leg("pay", "wait"), "ticket")
    await stage.event(trip, STARTED)
    child = stage.child_of(trip, "leg")
    await stage.event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await child.terminate("somebody did")
    await stage.status(trip, "stuck")
    assert stage.agency.story == ["book-hotel", "pay"]

    if verb == SKIP:
        await stage.ask(trip, SKIP, SkipRequest(by="mia", because="no money came", step="leg"))
    else:
        done = CompleteRequest(by="mia", because="it is paid", step="leg", result=["pay"])
        await stage.ask(trip, COMPLETE, done)

    assert (await stage.ending(trip)).saga == "settled"
    assert stage.agency.story[-1] == ("cancel-hotel" if verb == SKIP else "send-ticket")


@pytest.mark.parametrize("do", [Plan(do=("pay",)), "pay"])
async def test_a_child_that_is_no_pivot_has_none(stage: Stage, do: Plan | str) -> None:
    """It must stay compensatable until its root closes."""
    outer = do if isinstance(do, Plan) else Plan(do=(do,))
    trip = await stage.start("hotel", outer)

    ending = await stage.ending(trip)
    assert (ending.closed, ending.code) == ("FAILED", "DefinitionError")
    assert "pay" not in stage.agency.story
