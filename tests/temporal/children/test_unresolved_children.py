"""Children with unknown outcome in the timeline of the parent."""

from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import EventType

from sagas import Saga
from sagas._history.parser import read_history
from sagas._history.timeline_builder import build_timeline
from sagas.operator import SagaClient, VerbRefusedError, render_timeline

from ..fixtures.trip_participants import rejects
from ..fixtures.trip_plan import TripPlan
from ..fixtures.trip_rescues import rescue, rescued, uncompensated_bookings
from ..fixtures.trip_saga import STEPS, TripSaga
from ..fixtures.worker_harness import WORKFLOWS as USUAL
from ..fixtures.worker_harness import Handle, WorkerHarness

pytestmark = pytest.mark.parametrize("harness", [1000], indirect=True, ids=["cached"])

TASK_SCHEDULED = EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED
UNREADABLE = "the child completed, but the parent could not read the result"
RESOLVE = "an operator must resolve its compensations"


@workflow.defn
class InfiniteResultChild:
    """Returns infinity, a result outside of JSON."""

    @workflow.run
    async def run(self, plan: TripPlan) -> float:
        async with Saga() as saga:
            for word in plan.do:
                await saga.step(STEPS[str(word)], plan)
        return float("inf")


@workflow.defn(failure_exception_types=[Exception])
class FailingAfterSagaChild:
    """Fails after the completed saga block, with pending compensations."""

    @workflow.run
    async def run(self, plan: TripPlan) -> None:
        async with Saga() as saga:
            await saga.step(STEPS["flight"], plan)
        raise RuntimeError("behind the block")


@workflow.defn
class UnreadableChildParent:
    """Runs children with readable results, and then a child with an unreadable result."""

    @workflow.run
    async def run(self, plan: TripPlan) -> None:
        async with Saga() as saga:
            await saga.step(STEPS["hotel"], plan)
            for leg in plan.legs:
                await saga.child(TripSaga.run, leg, name=leg.name)
            if plan.name == "behind":
                await saga.child(FailingAfterSagaChild.run, plan, name="last")
            elif plan.is_pivot:
                await saga.pivot_child(InfiniteResultChild.run, plan, name="last")
            else:
                await saga.child(InfiniteResultChild.run, plan, name="last")


WORKFLOWS = [*USUAL, InfiniteResultChild, FailingAfterSagaChild, UnreadableChildParent]
FLIGHT = TripPlan(do=("flight",), name="first")
LOOK = TripPlan(do=("look",), name="second")


async def start_parent(harness: WorkerHarness, plan: TripPlan) -> Handle:
    """Starts a saga with an unreadable last child, and waits until the saga is stuck."""
    harness.workflow_ids.append(f"parent-{uuid4().hex[:8]}")
    parent: Handle = await harness.client.start_workflow(
        "UnreadableChildParent", plan, id=harness.workflow_ids[-1], task_queue=harness.task_queue
    )
    await harness.wait_for_status(parent, "stuck")
    return parent


async def children_of(harness: WorkerHarness, saga_id: str) -> dict[str, tuple[str, str]]:
    """The outcome and the reason of each child in the timeline of a saga."""
    timeline = await SagaClient(harness.client).show(saga_id)
    return {line.address: (line.outcome, line.reason) for line in timeline.steps if line.child is not None}


@pytest.mark.parametrize("do", [("car",), ("look",)], ids=str)
@pytest.mark.parametrize("legs", [(), (FLIGHT, LOOK)], ids=["alone", "with others"])
async def test_child_with_an_unreadable_result_is_unresolved(
    harness: WorkerHarness, do: tuple[str, ...], legs: tuple[TripPlan, ...]
) -> None:
    """The child is unknown, with or without pending compensations; other children are done."""
    parent = await start_parent(harness, TripPlan(do=do, legs=legs))

    assert await children_of(harness, parent.id) == {
        **{leg.name: ("done", "") for leg in legs},
        "last": ("unknown", f"{UNREADABLE}; {RESOLVE}"),
    }
    text = render_timeline(await SagaClient(harness.client).show(parent.id), width=200)
    assert f"\n      {UNREADABLE}; {RESOLVE}\n" in text


async def test_child_failed_after_its_saga_is_unresolved(harness: WorkerHarness) -> None:
    """The pending compensations are missing in the error, and present in the child's history."""
    parent = await start_parent(harness, TripPlan(do=(), name="behind"))

    (outcome, reason) = (await children_of(harness, parent.id))["last"]
    assert outcome == "unknown"
    assert reason == (
        "RuntimeError was raised in a child after its saga was completed: behind the block; " + RESOLVE
    )
    assert (await rescued(harness, f"{parent.id}/last")).pending == ("book-flight",)


async def test_terminated_child_is_unresolved(harness: WorkerHarness) -> None:
    """The timeline has the reason of the termination."""
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "wait")))
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await harness.child_of(trip, "leg").terminate(reason="by mistake")
    await harness.wait_for_status(trip, "stuck")

    assert await children_of(harness, trip.id) == {
        "leg": ("unknown", f"the child was terminated: by mistake; {RESOLVE}")
    }


async def test_pivot_child_with_an_unreadable_result_is_unresolved(harness: WorkerHarness) -> None:
    """An operator must find out whether the pivot happened, and completes the child then."""
    parent = await start_parent(harness, TripPlan(do=("car",), is_pivot=True))

    before = await children_of(harness, parent.id)
    await SagaClient(harness.client).complete(parent.id, "last", 1.0, by="mia", because="it is booked")
    assert (await harness.wait_for_ending(parent)).saga == "settled"

    assert before == {
        "last": ("unknown", f"{UNREADABLE}; an operator must find out whether the pivot happened")
    }
    assert await children_of(harness, parent.id) == {"last": ("done", "")}


async def test_child_is_done_while_the_saga_is_stuck_at_another_compensation(harness: WorkerHarness) -> None:
    """The child is unresolved only when no other compensation keeps the saga stuck."""
    harness.participants.when("cancel-hotel", rejects("too_late"))
    parent = await start_parent(harness, TripPlan(do=("car",)))
    before = await children_of(harness, parent.id)
    await SagaClient(harness.client).skip(parent.id, "book-hotel", by="mia", because="a credit note was sent")

    assert before == {"last": ("done", "")}
    assert (await children_of(harness, parent.id))["last"][0] == "unknown"


async def test_child_with_a_readable_result_is_never_unresolved(harness: WorkerHarness) -> None:
    """Events before the next workflow task do not count, however late the worker is."""
    harness.participants.when("cancel-flight", rejects("too_late"))
    trip = await harness.start_trip(
        "hotel", TripPlan(do=("look",)), TripPlan(do=("car",), name="other"), "flight", "fail"
    )
    await harness.wait_for_status(trip, "stuck")
    await harness.retry_stuck(trip)
    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    events = [event async for event in trip.fetch_history_events()]

    due = [n for n, event in enumerate(events, start=1) if event.event_type == TASK_SCHEDULED]
    for number in due:
        timeline = build_timeline(read_history(trip.id, events[:number], harness.client.data_converter))
        assert [line.reason for line in timeline.steps if line.child is not None and line.reason] == []


async def test_saga_is_rescued_for_a_child_with_an_unreadable_result(harness: WorkerHarness) -> None:
    """An operator completes the child and ends the saga; the history has the child's compensations."""
    parent = await start_parent(harness, TripPlan(do=("car",)))
    client = SagaClient(harness.client)
    with pytest.raises(VerbRefusedError, match="the saga has completed"):
        await rescue(harness, f"{parent.id}/last")

    await client.complete(parent.id, "last", by="mia", because="it will be rescued")
    assert (await harness.wait_for_ending(parent)).saga == "settled"

    assert (await rescued(harness, parent.id)).pending == ("last:book-car",)
    assert uncompensated_bookings(harness, parent.id) == []


async def test_child_with_an_unreadable_child_is_terminated_and_rescued(harness: WorkerHarness) -> None:
    """A normal end of the child would report no pending compensations to the root."""
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "child-with-wrong-result")))
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await harness.wait_for_status(child, "stuck")

    await child.terminate(reason="it waits for a child")
    await harness.wait_for_status(trip, "stuck")
    assert (await rescued(harness, child.id)).pending == ("wrong-result:book-flight",)
    await SagaClient(harness.client).complete(trip.id, "leg", by="mia", because="it is rescued")

    assert (await harness.wait_for_ending(trip)).saga == "settled"
    assert uncompensated_bookings(harness, trip.id) == []
