"""A child that has not told its parent what it owes: `show` of the parent says why it waits for a person."""

from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import EventType

from sagas import Saga, SagaClient, VerbRefusedError, render_timeline
from sagas._history.parser import read_history
from sagas._history.timeline_builder import build_timeline

from ..fixtures.trip_participants import rejects
from ..fixtures.trip_plan import TripPlan
from ..fixtures.trip_rescues import rescue, rescued, uncompensated_bookings
from ..fixtures.trip_saga import STEPS, TripSaga
from ..fixtures.worker_harness import WORKFLOWS as USUAL
from ..fixtures.worker_harness import Handle, WorkerHarness

pytestmark = pytest.mark.parametrize("harness", [1000], indirect=True, ids=["cached"])

TASK_SCHEDULED = EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED
UNREADABLE = "it completed with an answer that its parent could not read"
OWES = "a person has to see to what it owes"


@workflow.defn
class EndlessChild:
    """Its result has no JSON."""

    @workflow.run
    async def run(self, plan: TripPlan) -> float:
        async with Saga() as saga:
            for word in plan.do:
                await saga.step(STEPS[str(word)], plan)
        return float("inf")


@workflow.defn(failure_exception_types=[Exception])
class FailingBehindChild:
    """Fails behind its block, whatever it owes."""

    @workflow.run
    async def run(self, plan: TripPlan) -> None:
        async with Saga() as saga:
            await saga.step(STEPS["flight"], plan)
        raise RuntimeError("behind the block")


@workflow.defn
class Asker:
    """Has legs whose answers it can read, and then one that it has not."""

    @workflow.run
    async def run(self, plan: TripPlan) -> None:
        async with Saga() as saga:
            await saga.step(STEPS["hotel"], plan)
            for leg in plan.legs:
                await saga.child(TripSaga.run, leg, name=leg.name)
            if plan.name == "behind":
                await saga.child(FailingBehindChild.run, plan, name="last")
            elif plan.is_pivot:
                await saga.pivot_child(EndlessChild.run, plan, name="last")
            else:
                await saga.child(EndlessChild.run, plan, name="last")


WORKFLOWS = [*USUAL, EndlessChild, FailingBehindChild, Asker]
FLIGHT = TripPlan(do=("flight",), name="first")
LOOK = TripPlan(do=("look",), name="second")


async def ask(harness: WorkerHarness, plan: TripPlan) -> Handle:
    """Starts a saga whose last child says nothing, and waits until it is stuck."""
    harness.workflow_ids.append(f"asker-{uuid4().hex[:8]}")
    asker: Handle = await harness.client.start_workflow(
        "Asker", plan, id=harness.workflow_ids[-1], task_queue=harness.task_queue
    )
    await harness.wait_for_status(asker, "stuck")
    return asker


async def children_of(harness: WorkerHarness, saga_id: str) -> dict[str, tuple[str, str]]:
    """How the children of a saga stand, and why."""
    story = await SagaClient(harness.client).show(saga_id)
    return {step.address: (step.outcome, step.reason) for step in story.steps if step.purpose == "child"}


@pytest.mark.parametrize("do", [("car",), ("look",)], ids=str)
@pytest.mark.parametrize("legs", [(), (FLIGHT, LOOK)], ids=["alone", "with others"])
async def test_child_whose_answer_cannot_be_read_is_named(
    harness: WorkerHarness, do: tuple[str, ...], legs: tuple[TripPlan, ...]
) -> None:
    """It is not simply done, whether it owes something or not; the others are."""
    asker = await ask(harness, TripPlan(do=do, legs=legs))

    assert await children_of(harness, asker.id) == {
        **{leg.name: ("done", "") for leg in legs},
        "last": ("unknown", f"{UNREADABLE}; {OWES}"),
    }
    text = render_timeline(await SagaClient(harness.client).show(asker.id), width=200)
    assert f"\n      {UNREADABLE}; {OWES}\n" in text


async def test_child_that_failed_behind_its_block_is_named(harness: WorkerHarness) -> None:
    """Its error says nothing of what it owes; its history does."""
    asker = await ask(harness, TripPlan(do=(), name="behind"))

    (outcome, reason) = (await children_of(harness, asker.id))["last"]
    assert outcome == "unknown"
    assert reason == (
        "RuntimeError was raised in a child after its saga was completed: behind the block; " + OWES
    )
    assert (await rescued(harness, f"{asker.id}/last")).owed == ("book-flight",)


async def test_child_that_was_terminated_is_named(harness: WorkerHarness) -> None:
    """With the reason that somebody gave."""
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "wait")))
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await harness.child_of(trip, "leg").terminate(reason="by mistake")
    await harness.wait_for_status(trip, "stuck")

    assert await children_of(harness, trip.id) == {
        "leg": ("unknown", f"it was terminated: by mistake; {OWES}")
    }


async def test_pivot_child_whose_answer_cannot_be_read_is_named(harness: WorkerHarness) -> None:
    """Until a person has said what became of it."""
    asker = await ask(harness, TripPlan(do=("car",), is_pivot=True))

    before = await children_of(harness, asker.id)
    await SagaClient(harness.client).complete(asker.id, "last", 1.0, by="mia", because="it is booked")
    assert (await harness.wait_for_ending(asker)).saga == "settled"

    assert before == {"last": ("unknown", f"{UNREADABLE}; a person has to say what became of it")}
    assert await children_of(harness, asker.id) == {"last": ("done", "")}


async def test_saga_that_is_stuck_for_another_reason_names_no_child(harness: WorkerHarness) -> None:
    """It has not come to that yet."""
    harness.participants.when("cancel-hotel", rejects("too_late"))
    asker = await ask(harness, TripPlan(do=("car",)))
    before = await children_of(harness, asker.id)
    await SagaClient(harness.client).skip(asker.id, "book-hotel", by="mia", because="a credit note was sent")

    assert before == {"last": ("done", "")}
    assert (await children_of(harness, asker.id))["last"][0] == "unknown"


async def test_child_that_was_heard_is_never_named(harness: WorkerHarness) -> None:
    """Also while a workflow task is due, in which its saga goes on: a worker may take it much later."""
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
        told = build_timeline(read_history(trip.id, events[:number], harness.client.data_converter))
        assert [step.reason for step in told.steps if step.purpose == "child" and step.reason] == []


async def test_saga_is_rescued_for_a_child_whose_answer_it_could_not_read(harness: WorkerHarness) -> None:
    """A person completes the child, which ends the saga; the history knows what the child owes."""
    asker = await ask(harness, TripPlan(do=("car",)))
    client = SagaClient(harness.client)
    with pytest.raises(VerbRefusedError, match="it has completed"):
        await rescue(harness, f"{asker.id}/last")

    await client.complete(asker.id, "last", by="mia", because="it will be rescued")
    assert (await harness.wait_for_ending(asker)).saga == "settled"

    assert (await rescued(harness, asker.id)).owed == ("last:book-car",)
    assert uncompensated_bookings(harness, asker.id) == []


async def test_child_that_could_not_read_an_answer_is_terminated_and_rescued(harness: WorkerHarness) -> None:
    """Once it has ended by itself, its root takes its word that all is made up for."""
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "child-with-wrong-result")))
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await harness.wait_for_status(child, "stuck")

    await child.terminate(reason="it waits for a child")
    await harness.wait_for_status(trip, "stuck")
    assert (await rescued(harness, child.id)).owed == ("wrong-result:book-flight",)
    await SagaClient(harness.client).complete(trip.id, "leg", by="mia", because="it is rescued")

    assert (await harness.wait_for_ending(trip)).saga == "settled"
    assert uncompensated_bookings(harness, trip.id) == []
