"""A child that has not told its parent what it owes: `show` of the parent says why it waits for a person."""

from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import EventType

from sagas import Saga, SagaClient, VerbRefusedError, render_timeline
from sagas._history.parser import read_history
from sagas._history.timeline_builder import build_timeline

from ..fixtures.trip_participants import refuses
from ..fixtures.trip_plan import Plan
from ..fixtures.trip_rescues import not_made_up, rescue, rescued
from ..fixtures.trip_saga import STEPS, TripSaga
from ..fixtures.worker_harness import WORKFLOWS as USUAL
from ..fixtures.worker_harness import Handle, Stage

pytestmark = pytest.mark.parametrize("stage", [1000], indirect=True, ids=["cached"])

TASK_SCHEDULED = EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED
UNREADABLE = "it completed with an answer that its parent could not read"
OWES = "a person has to see to what it owes"


@workflow.defn
class EndlessChild:
    """Its result has no JSON."""

    @workflow.run
    async def run(self, plan: Plan) -> float:
        async with Saga() as saga:
            for word in plan.do:
                await saga.step(STEPS[str(word)], plan)
        return float("inf")


@workflow.defn(failure_exception_types=[Exception])
class FailingBehindChild:
    """Fails behind its block, whatever it owes."""

    @workflow.run
    async def run(self, plan: Plan) -> None:
        async with Saga() as saga:
            await saga.step(STEPS["flight"], plan)
        raise RuntimeError("behind the block")


@workflow.defn
class Asker:
    """Has legs whose answers it can read, and then one that it has not."""

    @workflow.run
    async def run(self, plan: Plan) -> None:
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
FLIGHT = Plan(do=("flight",), name="first")
LOOK = Plan(do=("look",), name="second")


async def ask(stage: Stage, plan: Plan) -> Handle:
    """Starts a saga whose last child says nothing, and waits until it is stuck."""
    stage.ids.append(f"asker-{uuid4().hex[:8]}")
    asker: Handle = await stage.client.start_workflow(
        "Asker", plan, id=stage.ids[-1], task_queue=stage.task_queue
    )
    await stage.status(asker, "stuck")
    return asker


async def children_of(stage: Stage, saga_id: str) -> dict[str, tuple[str, str]]:
    """How the children of a saga stand, and why."""
    story = await SagaClient(stage.client).show(saga_id)
    return {step.address: (step.outcome, step.reason) for step in story.steps if step.purpose == "child"}


@pytest.mark.parametrize("do", [("car",), ("look",)], ids=str)
@pytest.mark.parametrize("legs", [(), (FLIGHT, LOOK)], ids=["alone", "with others"])
async def test_child_whose_answer_cannot_be_read_is_named(
    stage: Stage, do: tuple[str, ...], legs: tuple[Plan, ...]
) -> None:
    """It is not simply done, whether it owes something or not; the others are."""
    asker = await ask(stage, Plan(do=do, legs=legs))

    assert await children_of(stage, asker.id) == {
        **{leg.name: ("done", "") for leg in legs},
        "last": ("unknown", f"{UNREADABLE}; {OWES}"),
    }
    text = render_timeline(await SagaClient(stage.client).show(asker.id), width=200)
    assert f"\n      {UNREADABLE}; {OWES}\n" in text


async def test_child_that_failed_behind_its_block_is_named(stage: Stage) -> None:
    """Its error says nothing of what it owes; its history does."""
    asker = await ask(stage, Plan(do=(), name="behind"))

    (outcome, reason) = (await children_of(stage, asker.id))["last"]
    assert outcome == "unknown"
    assert reason == (
        "RuntimeError was raised in a child after its saga was completed: behind the block; " + OWES
    )
    assert (await rescued(stage, f"{asker.id}/last")).owed == ("book-flight",)


async def test_child_that_was_terminated_is_named(stage: Stage) -> None:
    """With the reason that somebody gave."""
    trip = await stage.start("hotel", Plan(do=("flight", "wait")))
    await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await stage.child_of(trip, "leg").terminate(reason="by mistake")
    await stage.status(trip, "stuck")

    assert await children_of(stage, trip.id) == {"leg": ("unknown", f"it was terminated: by mistake; {OWES}")}


async def test_pivot_child_whose_answer_cannot_be_read_is_named(stage: Stage) -> None:
    """Until a person has said what became of it."""
    asker = await ask(stage, Plan(do=("car",), is_pivot=True))

    before = await children_of(stage, asker.id)
    await SagaClient(stage.client).complete(asker.id, "last", 1.0, by="mia", because="it is booked")
    assert (await stage.ending(asker)).saga == "settled"

    assert before == {"last": ("unknown", f"{UNREADABLE}; a person has to say what became of it")}
    assert await children_of(stage, asker.id) == {"last": ("done", "")}


async def test_saga_that_is_stuck_for_another_reason_names_no_child(stage: Stage) -> None:
    """It has not come to that yet."""
    stage.agency.when("cancel-hotel", refuses("too_late"))
    asker = await ask(stage, Plan(do=("car",)))
    before = await children_of(stage, asker.id)
    await SagaClient(stage.client).skip(asker.id, "book-hotel", by="mia", because="a credit note was sent")

    assert before == {"last": ("done", "")}
    assert (await children_of(stage, asker.id))["last"][0] == "unknown"


async def test_child_that_was_heard_is_never_named(stage: Stage) -> None:
    """Also while a workflow task is due, in which its saga goes on: a worker may take it much later."""
    stage.agency.when("cancel-flight", refuses("too_late"))
    trip = await stage.start("hotel", Plan(do=("look",)), Plan(do=("car",), name="other"), "flight", "fail")
    await stage.status(trip, "stuck")
    await stage.retry(trip)
    assert (await stage.ending(trip)).saga == "compensated"
    events = [event async for event in trip.fetch_history_events()]

    due = [n for n, event in enumerate(events, start=1) if event.event_type == TASK_SCHEDULED]
    for number in due:
        told = build_timeline(read_history(trip.id, events[:number], stage.client.data_converter))
        assert [step.reason for step in told.steps if step.purpose == "child" and step.reason] == []


async def test_saga_is_rescued_for_a_child_whose_answer_it_could_not_read(stage: Stage) -> None:
    """A person completes the child, which ends the saga; the history knows what the child owes."""
    asker = await ask(stage, Plan(do=("car",)))
    client = SagaClient(stage.client)
    with pytest.raises(VerbRefusedError, match="it has completed"):
        await rescue(stage, f"{asker.id}/last")

    await client.complete(asker.id, "last", by="mia", because="it will be rescued")
    assert (await stage.ending(asker)).saga == "settled"

    assert (await rescued(stage, asker.id)).owed == ("last:book-car",)
    assert not_made_up(stage, asker.id) == []


async def test_child_that_could_not_read_an_answer_is_terminated_and_rescued(stage: Stage) -> None:
    """Once it has ended by itself, its root takes its word that all is made up for."""
    trip = await stage.start("hotel", Plan(do=("flight", "broken-child")))
    child = stage.child_of(trip, "leg")
    await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await stage.status(child, "stuck")

    await child.terminate(reason="it waits for a child")
    await stage.status(trip, "stuck")
    assert (await rescued(stage, child.id)).owed == ("broken:book-flight",)
    await SagaClient(stage.client).complete(trip.id, "leg", by="mia", because="it is rescued")

    assert (await stage.ending(trip)).saga == "settled"
    assert not_made_up(stage, trip.id) == []
