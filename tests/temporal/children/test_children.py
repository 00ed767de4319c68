"""A saga in a saga: it has compensated before its parent hears, or its parent compensates for it."""

import pytest
from temporalio.api.enums.v1 import EventType

from sagas.operator import SagaClient

from ..fixtures.trip_saga import Plan, refuses
from ..fixtures.trip_worker import Ending, Stage

CANCELLED = Ending("CANCELED", "compensated")


async def test_failing_child_has_compensated_before_its_parent_hears(stage: Stage) -> None:
    """The parent fails with the first failure of the child."""
    stage.agency.when("book-car", refuses())

    trip = await stage.start("tell", "hotel", Plan(do=("tell", "flight", "car")), "look")

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "sold_out")
    assert stage.agency.story[3:] == ["cancel-flight", "cancel-hotel", "tell-customer"]
    assert stage.agency.keys["tell-customer"] == [f"{trip.id}:tell-customer"]


async def test_closed_child_is_compensated_by_its_parent_newest_first(stage: Stage) -> None:
    """With the child's own keys, and the results of its actions."""
    trip = await stage.start("flight", Plan(do=("hotel", "car")), "fail")

    assert (await stage.ending(trip)).saga == "compensated"
    assert stage.agency.story[3:] == ["cancel-car", "cancel-hotel", "cancel-flight"]
    for name in ("hotel", "car", "flight"):
        assert stage.agency.keys[f"cancel-{name}"] == stage.agency.keys[f"book-{name}"]
    assert stage.agency.keys["cancel-hotel"] == [f"{trip.id}/leg:book-hotel"]
    assert [booking and booking.number for booking in stage.agency.results] == ["book-hotel-1"]


async def test_closed_grandchild_is_compensated_by_the_root(stage: Stage) -> None:
    """Its ledger comes back with its result, twice."""
    grandchild = Plan(do=("hotel", "hotel"), name="night")

    trip = await stage.start(Plan(do=("car", grandchild, "flight")), "fail")

    assert (await stage.ending(trip)).saga == "compensated"
    assert stage.agency.story[4:] == ["cancel-flight", "cancel-hotel", "cancel-hotel", "cancel-car"]
    assert stage.agency.keys["cancel-hotel"] == [
        f"{trip.id}/leg/night:book-hotel#2",
        f"{trip.id}/leg/night:book-hotel",
    ]


async def test_same_child_twice_has_two_ids(stage: Stage) -> None:
    """The second is another saga, with keys of its own."""
    trip = await stage.start(Plan(do=("hotel",)), Plan(do=("hotel",)), "fail")

    await stage.ending(trip)
    assert stage.agency.keys["cancel-hotel"] == [
        f"{trip.id}/leg#2:book-hotel",
        f"{trip.id}/leg:book-hotel",
    ]


async def test_cancelled_parent_waits_for_the_compensations_of_its_child(stage: Stage) -> None:
    """The child makes up for its steps first, and closes as cancelled."""
    gate = stage.agency.hold("book-car")
    trip = await stage.start("hotel", Plan(do=("flight", "car")))
    await gate.entered.wait()

    await trip.cancel()
    await stage.event(stage.child_of(trip, "leg"), EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED)
    gate.opened.set()

    assert await stage.ending(trip) == CANCELLED
    assert await stage.ending(stage.child_of(trip, "leg")) == CANCELLED
    assert stage.agency.story[3:] == ["cancel-car", "cancel-flight", "cancel-hotel"]


async def test_child_that_was_cancelled_by_itself_is_a_refusal(stage: Stage) -> None:
    """The parent was not cancelled: for it, the child failed."""
    trip = await stage.start("hotel", Plan(do=("flight", "wait")))
    child = stage.child_of(trip, "leg")
    await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await stage.event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)

    await child.cancel()

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "cancelled")
    assert stage.agency.story[2:] == ["cancel-flight", "cancel-hotel"]


async def test_cancel_that_arrives_with_the_end_of_a_child_compensates_it(stage: Stage) -> None:
    """Temporal swallows such a cancel; the child has completed and is made up for by the parent."""
    gate = stage.agency.hold("book-flight")
    trip = await stage.start(Plan(do=("hotel", "flight")), "look")
    await gate.entered.wait()
    gate.opened.set()
    await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)

    await trip.cancel()

    assert await stage.ending(trip) == CANCELLED
    assert stage.agency.keys["book-hotel"] == stage.agency.keys["cancel-hotel"]
    assert stage.agency.keys["book-flight"] == stage.agency.keys["cancel-flight"]


async def test_terminated_child_leaves_its_parent_stuck(stage: Stage) -> None:
    """Nobody knows what it owes: the rest is made up for, and the saga is never called compensated."""
    trip = await stage.start("hotel", Plan(do=("flight", "wait")))
    child = stage.child_of(trip, "leg")
    await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await stage.event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)

    await child.terminate("by mistake")
    await stage.status(trip, "stuck")

    assert stage.agency.story == ["book-hotel", "book-flight", "cancel-hotel"]


async def test_saga_that_ends_without_its_lost_child_says_why(stage: Stage) -> None:
    """In a code like any other."""
    trip = await stage.start("hotel", Plan(do=("flight", "wait")))
    child = stage.child_of(trip, "leg")
    await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await child.terminate("by mistake")
    await stage.status(trip, "stuck")

    await SagaClient(stage.client).skip(trip.id, "leg", by="mia", because="the flight was cancelled by phone")

    assert await stage.ending(trip) == Ending("FAILED", "settled", "child_lost")


async def test_child_whose_result_nobody_can_read_leaves_its_parent_stuck(stage: Stage) -> None:
    """It has completed, and what it owes came back in an envelope that does not open."""
    trip = await stage.start("hotel", "broken-child")
    await stage.status(trip, "stuck")

    assert stage.agency.story == ["book-hotel", "book-flight", "cancel-hotel"]


async def test_child_with_a_pivot_is_refused_before_the_pivot_has_begun(stage: Stage) -> None:
    """A closed child must stay compensatable."""
    trip = await stage.start("hotel", Plan(do=("flight", "pay")))

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "DefinitionError")
    assert stage.agency.story == ["book-hotel", "book-flight", "cancel-flight", "cancel-hotel"]


async def test_child_whose_id_is_taken_is_a_refusal(stage: Stage) -> None:
    """Somebody else's saga is not ours to compensate."""
    trip = await stage.start("hotel", "wait", Plan(do=("flight",)))
    await stage.client.start_workflow(
        "TripSaga", Plan(do=("wait",)), id=f"{trip.id}/leg", task_queue=stage.task_queue
    )
    stage.ids.append(f"{trip.id}/leg")

    await trip.signal("go")

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "duplicate_child")
    assert stage.agency.story == ["book-hotel", "cancel-hotel"]


async def test_cancel_of_a_child_after_its_saga_changes_nothing(stage: Stage) -> None:
    """What it has done is owed to the parent, which must hear of it."""
    trip = await stage.start("hotel", Plan(do=("flight", "then-outside")))
    child = stage.child_of(trip, "leg")
    await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await stage.event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await stage.event(child, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, nth=2)

    await trip.cancel()
    await stage.event(child, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
    await stage.event(child, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, nth=3)
    await child.signal("go")

    assert await stage.ending(trip) == CANCELLED
    assert stage.agency.story == ["book-hotel", "book-flight", "cancel-flight", "cancel-hotel"]


async def test_error_of_a_child_after_its_saga_fails_the_task_and_not_the_workflow(stage: Stage) -> None:
    """A failed child has compensated: one that has not must not fail."""
    trip = await stage.start("hotel", Plan(do=("flight", "fail-outside")))
    await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    child = stage.child_of(trip, "leg")

    failed = await stage.event(child, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)

    assert "after its saga" in failed.workflow_task_failed_event_attributes.failure.message
    await child.terminate("the code is not going to be mended")
    await stage.status(trip, "stuck")
    await trip.terminate("the code is not going to be mended")
    stage.ids.remove(trip.id)  # what failed its tasks fails in replay


@pytest.mark.parametrize("name", ["", "a:b", "a/b", "a b", "A"])
async def test_child_whose_name_would_spoil_its_keys_is_refused(stage: Stage, name: str) -> None:
    """Keys are made of names: a child called '' would share them with its parent."""
    trip = await stage.start("hotel", Plan(do=("hotel",), name=name))

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "DefinitionError")
    assert stage.agency.story == ["book-hotel", "cancel-hotel"]
