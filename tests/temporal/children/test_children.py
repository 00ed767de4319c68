"""Child sagas: a failed child has compensated, and the parent compensates a completed child."""

import pytest
from temporalio.api.enums.v1 import EventType

from sagas.operator import SagaClient

from ..fixtures.trip_participants import rejects
from ..fixtures.trip_plan import TripPlan
from ..fixtures.worker_harness import Ending, WorkerHarness

CANCELLED = Ending("CANCELED", "compensated")


async def test_failing_child_compensates_before_the_parent(harness: WorkerHarness) -> None:
    """The parent fails with the first failure of the child."""
    harness.participants.when("book-car", rejects())

    trip = await harness.start_trip("tell", "hotel", TripPlan(do=("tell", "flight", "car")), "look")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "sold_out")
    assert harness.participants.started[3:] == ["cancel-flight", "cancel-hotel", "tell-customer"]
    assert harness.participants.keys["tell-customer"] == [f"{trip.id}:tell-customer"]


async def test_closed_child_is_compensated_by_the_parent_newest_first(harness: WorkerHarness) -> None:
    """The compensations get the child's idempotency keys, and the results of the actions."""
    trip = await harness.start_trip("flight", TripPlan(do=("hotel", "car")), "fail")

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started[3:] == ["cancel-car", "cancel-hotel", "cancel-flight"]
    for name in ("hotel", "car", "flight"):
        assert harness.participants.keys[f"cancel-{name}"] == harness.participants.keys[f"book-{name}"]
    assert harness.participants.keys["cancel-hotel"] == [f"{trip.id}/leg:book-hotel"]
    assert [booking and booking.number for booking in harness.participants.results] == ["book-hotel-1"]


async def test_closed_grandchild_is_compensated_by_the_root(harness: WorkerHarness) -> None:
    """The ledger of the grandchild reaches the root through the results of both children."""
    grandchild = TripPlan(do=("hotel", "hotel"), name="night")

    trip = await harness.start_trip(TripPlan(do=("car", grandchild, "flight")), "fail")

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started[4:] == ["cancel-flight", "cancel-hotel", "cancel-hotel", "cancel-car"]
    assert harness.participants.keys["cancel-hotel"] == [
        f"{trip.id}/leg/night:book-hotel#2",
        f"{trip.id}/leg/night:book-hotel",
    ]


async def test_same_child_twice_has_two_ids(harness: WorkerHarness) -> None:
    """The second child is a separate saga with separate idempotency keys."""
    trip = await harness.start_trip(TripPlan(do=("hotel",)), TripPlan(do=("hotel",)), "fail")

    await harness.wait_for_ending(trip)
    assert harness.participants.keys["cancel-hotel"] == [
        f"{trip.id}/leg#2:book-hotel",
        f"{trip.id}/leg:book-hotel",
    ]


async def test_cancelled_parent_waits_for_the_compensations_of_the_child(harness: WorkerHarness) -> None:
    """The child compensates first, and closes as cancelled."""
    latch = harness.participants.block("book-car")
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "car")))
    await latch.entered.wait()

    await trip.cancel()
    await harness.wait_for_event(
        harness.child_of(trip, "leg"), EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED
    )
    latch.released.set()

    assert await harness.wait_for_ending(trip) == CANCELLED
    assert await harness.wait_for_ending(harness.child_of(trip, "leg")) == CANCELLED
    assert harness.participants.started[3:] == ["cancel-car", "cancel-flight", "cancel-hotel"]


async def test_child_cancelled_without_the_parent_has_failed(harness: WorkerHarness) -> None:
    """The parent was not cancelled, and fails because of the cancelled child."""
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "wait")))
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await harness.wait_for_event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)

    await child.cancel()

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "cancelled")
    assert harness.participants.started[2:] == ["cancel-flight", "cancel-hotel"]


async def test_cancel_together_with_the_end_of_a_child_compensates(harness: WorkerHarness) -> None:
    """Temporal swallows the cancel; the parent compensates the completed child."""
    latch = harness.participants.block("book-flight")
    trip = await harness.start_trip(TripPlan(do=("hotel", "flight")), "look")
    await latch.entered.wait()
    latch.released.set()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)

    await trip.cancel()

    assert await harness.wait_for_ending(trip) == CANCELLED
    assert harness.participants.keys["book-hotel"] == harness.participants.keys["cancel-hotel"]
    assert harness.participants.keys["book-flight"] == harness.participants.keys["cancel-flight"]


async def test_terminated_child_leaves_the_parent_stuck(harness: WorkerHarness) -> None:
    """With an unknown outcome of the child, the parent compensates the other steps, and stays stuck."""
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "wait")))
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await harness.wait_for_event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)

    await child.terminate("by mistake")
    await harness.wait_for_status(trip, "stuck")

    assert harness.participants.started == ["book-hotel", "book-flight", "cancel-hotel"]


async def test_saga_fails_with_the_code_of_an_unknown_child(harness: WorkerHarness) -> None:
    """The manually resolved saga fails with the code `child_outcome_unknown`."""
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "wait")))
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await child.terminate("by mistake")
    await harness.wait_for_status(trip, "stuck")

    await SagaClient(harness.client).skip(
        trip.id, "leg", by="mia", because="the flight was cancelled by phone"
    )

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "settled", "child_outcome_unknown")


async def test_child_with_an_unreadable_result_leaves_the_parent_stuck(harness: WorkerHarness) -> None:
    """The child has completed, and the parent cannot read the pending compensations in the result."""
    trip = await harness.start_trip("hotel", "child-with-wrong-result")
    await harness.wait_for_status(trip, "stuck")

    assert harness.participants.started == ["book-hotel", "book-flight", "cancel-hotel"]


async def test_child_with_a_pivot_is_refused_before_the_pivot_has_begun(harness: WorkerHarness) -> None:
    """A closed child must stay compensatable."""
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "pay")))

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "DefinitionError")
    assert harness.participants.started == ["book-hotel", "book-flight", "cancel-flight", "cancel-hotel"]


async def test_child_with_a_taken_id_is_a_rejection(harness: WorkerHarness) -> None:
    """The parent does not compensate the other saga with the same id."""
    trip = await harness.start_trip("hotel", "wait", TripPlan(do=("flight",)))
    await harness.client.start_workflow(
        "TripSaga", TripPlan(do=("wait",)), id=f"{trip.id}/leg", task_queue=harness.task_queue
    )
    harness.workflow_ids.append(f"{trip.id}/leg")

    await trip.signal("go")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "duplicate_child")
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_cancel_of_a_child_after_its_saga_has_no_effect(harness: WorkerHarness) -> None:
    """The child still reports the pending compensations to the parent."""
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "wait-after-block")))
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await harness.wait_for_event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await harness.wait_for_event(child, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, nth=2)

    await trip.cancel()
    await harness.wait_for_event(child, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
    await harness.wait_for_event(child, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, nth=3)
    await child.signal("go")

    assert await harness.wait_for_ending(trip) == CANCELLED
    assert harness.participants.started == ["book-hotel", "book-flight", "cancel-flight", "cancel-hotel"]


async def test_error_of_a_child_after_its_saga_fails_the_task_and_not_the_workflow(
    harness: WorkerHarness,
) -> None:
    """A failed child has compensated: a child with pending compensations must not fail."""
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "fail-after-block")))
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    child = harness.child_of(trip, "leg")

    failed = await harness.wait_for_event(child, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)

    assert "after its saga" in failed.workflow_task_failed_event_attributes.failure.message
    await child.terminate("the code is not going to be mended")
    await harness.wait_for_status(trip, "stuck")
    await trip.terminate("the code is not going to be mended")
    harness.workflow_ids.remove(trip.id)  # failed workflow tasks also fail in a replay


@pytest.mark.parametrize("name", ["", "a:b", "a/b", "a b", "A"])
async def test_child_with_a_name_unfit_for_keys_is_refused(harness: WorkerHarness, name: str) -> None:
    """Idempotency keys contain names: a child called '' would share keys with the parent."""
    trip = await harness.start_trip("hotel", TripPlan(do=("hotel",), name=name))

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "DefinitionError")
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]
