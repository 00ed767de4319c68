"""A saga that was cut off is rescued from its history: what it owes is made up for, once."""

import asyncio
import json
from collections import Counter
from datetime import timedelta

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, Interceptor, OutboundInterceptor, SignalWorkflowInput
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import TimeSkipper

from sagas import SagaClient, SagaNotFoundError, VerbRefusedError, render_timeline
from sagas._history.ledger_rebuild import rebuild_saga
from sagas._history.parser import read_history
from sagas.operator._rescue import RescueDecision
from tests.waiting import until

from ..fixtures.trip_participants import Gate, refuses
from ..fixtures.trip_plan import Plan
from ..fixtures.trip_rescues import calls_of, not_made_up, rescue, rescued
from ..fixtures.trip_saga import TripSaga
from ..fixtures.worker_harness import PATIENCE, Ending, Handle, Stage

pytestmark = pytest.mark.parametrize("stage", [1000], indirect=True, ids=["cached"])


@workflow.defn(name="CutShortTrip")
class CutShortTrip(TripSaga):
    """A trip that does not see that it has a time limit, which a saga would refuse."""

    @workflow.run
    async def run(self, plan: Plan) -> list[str]:
        object.__setattr__(workflow.info(), "run_timeout", None)
        return await super().run(plan)


async def rescued_by_hand(stage: Stage, handle: Handle) -> None:
    """Waits for the end of a rescue in which a person has settled something."""
    ending = await stage.ending(handle)
    assert (ending.closed, ending.saga) == ("COMPLETED", "settled")


async def cut_after(handle: Handle, number: int) -> bool:
    """Terminates a saga as soon as it has so many events; whether there was still something to terminate."""
    async with asyncio.timeout(PATIENCE):
        async for event in handle.fetch_history_events(wait_new_event=True):
            if event.event_id >= number:
                break
    try:
        await handle.terminate("cut off by the test")
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return False
    return True


SHAPES: dict[str, tuple[str | Plan, ...]] = {
    "steps": ("hotel", "flight", "car", "fail"),
    "parallel": ("hotel+flight+car", "hotel", "fail"),
    "child": ("flight", Plan(do=("hotel", "car")), "look", "fail"),
    "failing-child": ("flight", Plan(do=("hotel", "car", "fail"))),
    "grandchild": ("hotel", Plan(do=("car", Plan(do=("hotel", "flight"), name="night"))), "fail"),
    "pivot": ("hotel", Plan(do=("flight",)), "pay", "car", "ticket"),
}


async def test_operator_sees_what_has_become_of_a_saga_that_was_cut_off(stage: Stage) -> None:
    """That it has to be rescued, how far its rescue is, and that nothing is left to do."""
    stage.agency.when("cancel-hotel", refuses("too_late"))
    trip = await stage.start("hotel", "flight", "wait")
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=2)
    await trip.terminate(reason="x")
    # A workflow that is no saga may have an id with anything in it.
    other = await stage.client.start_workflow("Nobodys", id=f"it's {trip.id} \\", task_queue=stage.task_queue)
    await other.terminate()
    client = SagaClient(stage.client)

    async def listed() -> list[tuple[str, str]]:
        here = f"TaskQueue = '{stage.task_queue}'"
        return [(each.id, each.rescue) for each in await client.list(status="terminated", query=here)]

    async def will_be_listed(*wanted: tuple[str, str]) -> None:
        async def is_up_to_date() -> bool:
            return sorted(await listed()) == sorted([(other.id, ""), *wanted])

        # The server's list follows a moment later, and nobody is told when.
        await until(is_up_to_date)

    await will_be_listed((trip.id, ""))
    with pytest.raises(VerbRefusedError, match=r"it has ended, and is terminated: rescue it$"):
        await client.hold(trip.id, by="mia", because="x")
    stuck = stage.client.get_workflow_handle((await rescue(stage, trip.id)).workflow_id)
    await stage.status(stuck, "stuck")
    await will_be_listed((trip.id, "stuck"))
    preview = await client.preview(trip.id)
    assert preview.sentence == "1 compensation has still to run"
    assert [each.address for each in preview.compensations] == ["book-hotel"]
    story = await client.show(stuck.id)
    assert story == await client.show(trip.id)
    assert "waits: for a person\n" in render_timeline(story)
    assert story.steps[0].compensations[0].reason == "too_late, sorry"
    await client.skip(stuck.id, "book-hotel", by="mia", because="a credit note was sent")
    await rescued_by_hand(stage, stuck)
    await will_be_listed((trip.id, "settled"))
    ended = await client.preview(stuck.id)
    assert ended.sentence == "nothing is owed"
    assert [(s.address, s.because) for s in ended.stays] == [
        ("book-hotel", "skipped by mia: a credit note was sent")
    ]
    with pytest.raises(VerbRefusedError, match=r"its rescue '.*~rescue' is settled$"):
        await client.hold(trip.id, by="mia", because="x")
    with pytest.raises(VerbRefusedError, match=r"it has ended, and is settled$"):
        await client.hold(stuck.id, by="mia", because="x")


async def test_saga_that_goes_on_is_not_listed_as_cut_off(stage: Stage) -> None:
    """Its run was terminated, the saga was not."""
    gate = stage.agency.hold("pay")
    trip = await stage.start("hotel", "pay", "ticket")
    await gate.entered.wait()
    await trip.terminate(reason="x")
    client = SagaClient(stage.client)

    async def is_listed() -> bool:
        query = f"WorkflowId = '{trip.id}'"
        return [each.id for each in await client.list(status="terminated", query=query)] == [trip.id]

    await until(is_listed)
    await rescue(stage, trip.id)

    async def is_gone() -> bool:
        return not await is_listed()

    await until(is_gone)
    gate.opened.set()
    assert (await stage.ending(stage.client.get_workflow_handle(trip.id))).closed == "COMPLETED"


@pytest.mark.parametrize("do", SHAPES.values(), ids=SHAPES.keys())
async def test_saga_that_is_terminated_after_any_event_is_rescued(
    stage: Stage, do: tuple[str | Plan, ...]
) -> None:
    """Every effect is made up for, or the saga goes on past its pivot; asked twice, nothing happens twice."""
    whole = await stage.start(*do)
    await stage.ending(whole)
    length = len((await whole.fetch_history()).events)

    async def terminate_and_rescue(number: int) -> str:
        trip = await stage.start(*do)
        if not await cut_after(trip, number):
            return "ended before"
        outcome = await rescued(stage, trip.id)
        calls = calls_of(stage, trip.id, fenced=True)
        if outcome.course is RescueDecision.GOING_ON:
            assert ("send-ticket", f"{trip.id}:send-ticket") in calls
            assert not [name for name, _ in calls if name.startswith("cancel-")]
            with pytest.raises(VerbRefusedError, match="completed"):
                await rescue(stage, trip.id)
        else:
            assert not_made_up(stage, trip.id, fenced=True) == []
            again = await rescue(stage, trip.id)
            assert again == outcome.model_copy(update={"is_new": not outcome.workflow_id})
        assert calls_of(stage, trip.id, fenced=True) == calls
        return outcome.course.value

    seen = Counter(await asyncio.gather(*(terminate_and_rescue(n) for n in range(1, length))))

    assert seen[RescueDecision.COMPENSATING] > 0
    assert bool(seen[RescueDecision.GOING_ON]) is ("pay" in do)
    print(length, dict(seen))


@pytest.mark.parametrize("do", [("hotel", "flight", "wait"), ("hotel", Plan(do=("flight", "wait")))], ids=str)
async def test_saga_that_ran_into_a_timeout_is_rescued(stage: Stage, do: tuple[str | Plan, ...]) -> None:
    """The server ended it for real, without a word."""
    await stage.close()
    stage.workflows = [CutShortTrip, TripSaga]
    await stage.open()
    trip = await stage.client.start_workflow(
        CutShortTrip.run,
        Plan(do=do),
        id=f"late-{len(do)}-{stage.task_queue}",
        task_queue=stage.task_queue,
        run_timeout=timedelta(seconds=4),
    )
    assert (await stage.ending(trip)).closed == "TIMED_OUT"
    assert (await SagaClient(stage.client).show(trip.id)).status == "timed-out"

    await rescued(stage, trip.id)

    assert not_made_up(stage, trip.id) == []
    assert stage.agency.story[:2] == ["book-hotel", "book-flight"]
    assert sorted(stage.agency.story[2:]) == ["cancel-flight", "cancel-hotel"]


async def test_compensations_of_a_rescue_have_the_keys_and_results_of_the_saga(stage: Stage) -> None:
    """The participant cannot tell them from the saga's own; they come newest first."""
    trip = await stage.start("hotel", Plan(do=("flight", "car")), "wait")
    await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED)
    await trip.terminate("x")

    outcome = await rescued(stage, trip.id)

    assert outcome.owed == ("leg:book-car", "leg:book-flight", "book-hotel")
    assert stage.agency.story[3:] == ["cancel-car", "cancel-flight", "cancel-hotel"]
    for what in ("hotel", "flight", "car"):
        assert stage.agency.keys[f"cancel-{what}"] == stage.agency.keys[f"book-{what}"]
    assert [booking and booking.number for booking in stage.agency.results] == ["book-hotel-1"]


async def test_terminated_child_is_rescued_with_its_parent(stage: Stage) -> None:
    """Nobody told the parent what the child owes; the child's own history does."""
    trip = await stage.start("hotel", Plan(do=("flight", Plan(do=("car",), name="night"), "wait")))
    await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    child = stage.child_of(trip, "leg")
    await stage.event(child, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED)
    await child.terminate("x")
    await stage.status(trip, "stuck")
    await trip.terminate("x")

    outcome = await rescued(stage, trip.id)

    assert set(outcome.owed) == {"leg/night:book-car", "leg:book-flight"}
    assert not_made_up(stage, trip.id) == []
    assert Counter(stage.agency.story)["cancel-hotel"] == 1


async def test_child_that_makes_up_for_its_steps_is_waited_for_with_a_limit(stage: Stage) -> None:
    """A second one who did that too would do it twice."""
    gate = stage.agency.hold("cancel-flight")
    trip = await stage.start("hotel", Plan(do=("flight", "wait")))
    child = stage.child_of(trip, "leg")
    await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await stage.event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await trip.terminate("x")
    await gate.entered.wait()

    with pytest.raises(VerbRefusedError, match="leg' has not ended"):
        await rescue(stage, trip.id, patience=0.2)
    assert "cancel-hotel" not in stage.agency.story

    gate.opened.set()
    outcome = await rescued(stage, trip.id)
    assert outcome.owed == ("book-hotel",)
    assert not_made_up(stage, trip.id) == []


async def test_child_that_is_stuck_is_not_waited_for(stage: Stage) -> None:
    """Only a person helps, who reads at once what to type."""
    stage.agency.when("cancel-flight", refuses("too_late"))
    trip = await stage.start("hotel", Plan(do=("flight", "wait")))
    child = stage.child_of(trip, "leg")
    await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await stage.event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await trip.terminate("x")
    await stage.status(child, "stuck")

    async with asyncio.timeout(5):
        with pytest.raises(VerbRefusedError, match=f"its child '{child.id}' is stuck") as refused:
            await rescue(stage, trip.id, patience=600)
    assert f"`sagas retry {child.id}`" in str(refused.value)
    assert f"`sagas skip {child.id} book-flight`" in str(refused.value)
    assert f"`sagas complete {child.id} book-flight`" in str(refused.value)
    assert "cancel-hotel" not in stage.agency.story

    await stage.retry(child)
    outcome = await rescued(stage, trip.id)
    assert outcome.owed == ("book-hotel",)
    assert not_made_up(stage, trip.id) == []


async def test_child_that_gets_stuck_meanwhile_is_named_as_stuck(stage: Stage) -> None:
    """Who has waited for it reads what to type, too."""
    gate = Gate()
    stage.agency.when("cancel-flight", gate.hold, refuses("too_late"))
    trip = await stage.start("hotel", Plan(do=("flight", "flight", "wait")))
    child = stage.child_of(trip, "leg")
    await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await stage.event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=2)
    await trip.terminate("x")
    await gate.entered.wait()

    asking = asyncio.create_task(rescue(stage, trip.id, patience=2))
    gate.opened.set()
    await stage.status(child, "stuck")
    with pytest.raises(VerbRefusedError, match=f"`sagas skip {child.id} book-flight`"):
        await asking
    await stage.retry(child)
    await rescued(stage, trip.id)


async def test_child_whose_code_fails_is_not_waited_for(stage: Stage) -> None:
    """It cannot hear of the end of its parent; once it is terminated, it is rescued with it."""
    trip = await stage.start("hotel", Plan(do=("flight", "fail-outside")))
    child = stage.child_of(trip, "leg")
    await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await stage.event(child, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)
    await trip.terminate("x")

    async with asyncio.timeout(5):
        with pytest.raises(VerbRefusedError, match=rf"code of its child '{child.id}' fails \(.*or terminate"):
            await rescue(stage, trip.id, patience=600)
    await child.terminate("x")
    outcome = await rescued(stage, trip.id)
    assert outcome.owed == ("leg:book-flight", "book-hotel")
    stage.ids.remove(trip.id)  # what failed its tasks fails in replay


async def test_several_who_rescue_at_once_rescue_once(stage: Stage) -> None:
    """One of them starts it; the others find it."""
    trip = await stage.start("hotel", "flight", "wait")
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=2)
    await trip.terminate("x")

    operators = [rescue(stage, trip.id, by=f"o{n}") for n in range(5)]
    found = await asyncio.gather(*operators)
    await rescued(stage, trip.id)

    assert len({each.run_id for each in found}) == 1
    assert [each.is_new for each in found].count(True) == 1
    assert stage.agency.story == ["book-hotel", "book-flight", "cancel-flight", "cancel-hotel"]


async def test_several_who_have_a_saga_go_on_at_once_have_it_go_on_once(stage: Stage) -> None:
    """The server takes the first of them, and tells the others of it."""
    gate = stage.agency.hold("pay")
    trip = await stage.start("hotel", "pay", "ticket")
    await gate.entered.wait()
    await trip.terminate("x")

    found = await asyncio.gather(*(rescue(stage, trip.id) for _ in range(5)))
    gate.opened.set()

    assert len({each.run_id for each in found}) == 1
    assert (await stage.ending(stage.client.get_workflow_handle(trip.id))).closed == "COMPLETED"
    assert stage.agency.story == ["book-hotel", "pay", "pay", "send-ticket"]
    assert len(set(stage.agency.keys["pay"])) == 1


async def test_rescue_that_is_stuck_says_so_and_is_retried(stage: Stage) -> None:
    """It is a saga like any other in that."""
    stage.agency.when("cancel-hotel", refuses("too_late"))
    trip = await stage.start("hotel", "wait")
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await trip.terminate("x")
    client = SagaClient(stage.client)

    outcome = await rescue(stage, trip.id)
    stuck = stage.client.get_workflow_handle(outcome.workflow_id)
    await stage.status(stuck, "stuck")
    story = await client.show(trip.id)
    assert story.rescue is not None
    assert (story.status, story.rescue.status) == ("terminated", "stuck")

    await client.retry(outcome.workflow_id, by="mia", because="the hotel is open again")
    assert (await stage.ending(stuck)).saga == "compensated"


async def test_cancel_does_not_stop_a_rescue(stage: Stage) -> None:
    """It only makes up for things, also while it is stuck."""
    stage.agency.when("cancel-hotel", refuses("too_late"))
    trip = await stage.start("hotel", "wait")
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await trip.terminate("x")
    outcome = await rescue(stage, trip.id)
    handle = stage.client.get_workflow_handle(outcome.workflow_id)
    await stage.status(handle, "stuck")

    await handle.cancel()
    await stage.event(handle, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
    await SagaClient(stage.client).retry(handle.id, by="mia", because="the hotel is open again")

    await rescued(stage, trip.id)
    assert not_made_up(stage, trip.id) == []


async def test_saga_that_can_help_itself_is_not_rescued(stage: Stage) -> None:
    """One that runs, one that has completed, one that has compensated, and none at all."""
    running = await stage.start("hotel", "wait")
    with pytest.raises(VerbRefusedError, match="still running"):
        await rescue(stage, running.id)
    await running.signal("go")
    assert (await stage.ending(running)).closed == "COMPLETED"
    with pytest.raises(VerbRefusedError, match="completed"):
        await rescue(stage, running.id)
    failed = await stage.start("hotel", "fail")
    assert (await stage.ending(failed)) == Ending("FAILED", "compensated", "ApplicationError")
    assert (await rescue(stage, failed.id)).course is RescueDecision.NOTHING_OWED
    with pytest.raises(SagaNotFoundError, match="no saga 'nobody'"):
        await rescue(stage, "nobody")
    assert stage.agency.story == ["book-hotel", "book-hotel", "cancel-hotel"]


async def test_child_is_rescued_alone_while_its_parent_waits_for_that(stage: Stage) -> None:
    """The parent is stuck with it until a person says that it is made up for; then nothing is done twice."""
    trip = await stage.start("hotel", Plan(do=("flight", "wait")))
    await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    child = stage.child_of(trip, "leg")
    await stage.event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await child.terminate("x")
    await stage.status(trip, "stuck")

    assert (await rescued(stage, child.id)).owed == ("book-flight",)
    await SagaClient(stage.client).complete(trip.id, "leg", by="mia", because="it is rescued")

    assert (await stage.ending(trip)).saga == "settled"
    assert stage.agency.keys["cancel-flight"] == [f"{trip.id}/leg:book-flight"]


async def test_child_that_has_completed_is_not_rescued(stage: Stage) -> None:
    """What it did is its parent's to make up for, if anybody has to."""
    trip = await stage.start(Plan(do=("flight",)), "wait")
    await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED)

    with pytest.raises(VerbRefusedError, match="completed"):
        await rescue(stage, f"{trip.id}/leg")


async def test_child_of_a_closed_parent_is_rescued_with_its_root(stage: Stage) -> None:
    """Alone, it would be forgotten when its root is rescued."""
    trip = await stage.start("hotel", Plan(do=("flight", "wait")))
    await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    child = stage.child_of(trip, "leg")
    await stage.event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await child.terminate("x")
    await stage.status(trip, "stuck")
    await trip.terminate("x")

    with pytest.raises(VerbRefusedError, match=f"its root '{trip.id}'"):
        await rescue(stage, child.id)


async def test_child_that_was_rescued_is_not_made_up_for_again_with_its_parent(stage: Stage) -> None:
    """What its own rescue has done counts, also where nobody told the parent."""
    trip = await stage.start("hotel", Plan(do=("flight", "wait")))
    await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    child = stage.child_of(trip, "leg")
    await stage.event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    gate = stage.agency.hold("cancel-hotel")
    await child.terminate("x")
    await gate.entered.wait()
    await rescued(stage, child.id)
    await trip.terminate("x")
    gate.opened.set()

    assert (await rescued(stage, trip.id)).owed == ("book-hotel",)
    assert Counter(stage.agency.story)["cancel-flight"] == 1


async def test_rescue_that_is_terminated_itself_goes_on(stage: Stage) -> None:
    """Who asks again has it go on from where it was."""
    stage.agency.when("cancel-hotel", refuses("too_late"))
    trip = await stage.start("hotel", "flight", "wait")
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=2)
    await trip.terminate("x")
    first = await rescue(stage, trip.id)
    handle = stage.client.get_workflow_handle(first.workflow_id)
    await stage.status(handle, "stuck")
    await handle.terminate("x")

    again = await rescue(stage, trip.id)
    assert again.run_id != first.run_id
    await stage.status(stage.client.get_workflow_handle(again.workflow_id), "stuck")
    await SagaClient(stage.client).retry(again.workflow_id, by="mia", because="they are open again")
    await rescued(stage, trip.id)

    assert not_made_up(stage, trip.id) == []
    assert Counter(stage.agency.story) == Counter(
        ["book-hotel", "book-flight", "cancel-flight", "cancel-hotel", "cancel-hotel"]
    )


async def test_saga_that_continued_as_new_is_rescued(stage: Stage) -> None:
    """What it owed in an earlier run has travelled along, and is made up for in its order."""
    trip = await stage.start("hotel", Plan(do=("flight",)), "again", "car", "wait")
    last = await stage.next_run(trip)
    await stage.event(last, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await last.terminate("x")

    events = [event async for event in last.fetch_history_events()]

    outcome = await rescued(stage, trip.id)

    assert outcome.owed == ("book-car", "leg:book-flight", "book-hotel")
    # The server may no longer keep the first run; the last one knows it all.
    alone = rebuild_saga(read_history(trip.id, events, stage.client.data_converter)).ledger
    assert tuple(compensation.address for compensation in alone.owed()) == outcome.owed
    assert not_made_up(stage, trip.id) == []
    assert [booking and booking.number for booking in stage.agency.results] == ["book-hotel-1"]


LEG = Plan(do=("flight", "pay", "look"), is_pivot=True)


async def test_saga_whose_pivot_is_a_child_goes_on_when_that_is_done(stage: Stage) -> None:
    """The child ended after its parent was terminated; its steps are answered by their keys."""
    gate = stage.agency.hold("look-around")
    trip = await stage.start("hotel", LEG, "ticket")
    await gate.entered.wait()
    await trip.cancel()
    await stage.event(trip, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
    await trip.terminate("x")
    gate.opened.set()
    assert (await stage.ending(stage.child_of(trip, "leg"))).closed == "COMPLETED"

    assert (await rescued(stage, trip.id)).course is RescueDecision.GOING_ON

    assert stage.agency.story[-1] == "send-ticket"
    assert not [name for name in stage.agency.story if name.startswith("cancel-")]
    assert all(len(set(keys)) == 1 for keys in stage.agency.keys.values())


async def test_saga_whose_pivot_is_a_child_that_was_cut_off_past_its_pivot_goes_on(stage: Stage) -> None:
    """Both were terminated; nothing crosses the pivot of the child backwards."""
    gate = stage.agency.hold("look-around")
    trip = await stage.start("hotel", LEG, "ticket")
    await gate.entered.wait()
    child = stage.child_of(trip, "leg")
    await trip.terminate("x")
    await child.terminate("x")
    gate.opened.set()

    assert (await rescued(stage, trip.id)).course is RescueDecision.GOING_ON

    assert stage.agency.story[-1] == "send-ticket"
    assert not [name for name in stage.agency.story if name.startswith("cancel-")]


@pytest.mark.parametrize("do", [("wait", "ticket"), ("again", "wait", "ticket")], ids=str)
async def test_pivot_child_that_a_person_has_completed_is_not_run_again(
    stage: Stage, do: tuple[str, ...]
) -> None:
    """It was paid by hand: whoever goes on from there must not pay as well."""
    gate = stage.agency.hold("book-flight")
    trip = await stage.start("hotel", LEG, *do)
    await gate.entered.wait()
    await stage.child_of(trip, "leg").terminate("before it has paid")
    gate.opened.set()
    await stage.status(trip, "stuck")
    client = SagaClient(stage.client)
    await client.complete(trip.id, "leg", by="mia", because="it is paid", result=["pay"])
    latest = stage.client.get_workflow_handle(trip.id)
    if "again" in do:
        latest = await stage.next_run(trip)
        await stage.event(latest, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED)
    await latest.terminate("x")

    assert (await rescue(stage, trip.id)).course is RescueDecision.GOING_ON
    await latest.signal("go")

    assert (await stage.ending(latest)).saga == "settled"
    assert stage.agency.story == ["book-hotel", "book-flight", "send-ticket"]


async def test_saga_whose_pivot_is_a_child_that_was_cut_off_before_its_pivot_goes_back(stage: Stage) -> None:
    """The pivot has not happened: what both have done is made up for."""
    gate = stage.agency.hold("book-flight")
    trip = await stage.start("hotel", LEG, "ticket")
    await gate.entered.wait()
    child = stage.child_of(trip, "leg")
    await trip.terminate("x")
    await child.terminate("x")
    gate.opened.set()

    assert (await rescued(stage, trip.id)).owed == ("leg:book-flight", "book-hotel")

    assert not_made_up(stage, trip.id) == []
    assert "pay" not in stage.agency.story


async def test_saga_whose_pivot_child_turned_back_goes_back(stage: Stage) -> None:
    """The child heard of its parent's end as a cancel, and made up for its own steps."""
    trip = await stage.start("hotel", Plan(do=("flight", "sleep", "pay"), is_pivot=True), "ticket")
    await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await stage.event(stage.child_of(trip, "leg"), EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await trip.terminate("x")

    assert (await rescued(stage, trip.id)).owed == ("book-hotel",)

    assert not_made_up(stage, trip.id) == []


async def test_a_cancel_after_a_rescue_does_not_cross_the_pivot_backwards(stage: Stage) -> None:
    """P6: the pivot is asked for again, and withdrawn before anybody has taken it; but it was done before."""
    await stage.open("nobody", workflows=False)
    pay = stage.agency.hold("pay")
    trip = await stage.start("hotel", "pay-far", "wait")
    await pay.entered.wait()
    await trip.terminate("somebody did")
    pay.opened.set()
    await stage.close()
    found = await rescue(stage, trip.id)
    assert found.course is RescueDecision.GOING_ON
    again = stage.client.get_workflow_handle(trip.id, run_id=found.run_id)
    await stage.open()
    await stage.event(again, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, nth=2)

    await again.cancel()
    await stage.event(again, EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED)
    await stage.open("nobody", workflows=False)
    await again.signal("go")

    assert (await stage.ending(again)).closed == "COMPLETED"
    assert "cancel-hotel" not in stage.agency.story


async def test_rescue_is_stuck_with_a_child_of_which_it_cannot_account(stage: Stage) -> None:
    """It has made up for the rest meanwhile, and waits for a person."""
    stage.agency.when("cancel-hotel", refuses("too_late"))
    trip = await stage.start("hotel", "careless-child")
    await stage.status(trip, "stuck")
    await trip.terminate("x")
    client = SagaClient(stage.client)

    outcome = await rescue(stage, trip.id)
    stuck = stage.client.get_workflow_handle(outcome.workflow_id)
    stage.ids.append(stuck.id)
    await stage.status(stuck, "stuck")

    assert (outcome.owed, outcome.unaccounted) == (("book-hotel",), ("careless",))
    assert Counter(stage.agency.story)["cancel-hotel"] == 2
    assert (await client.preview(trip.id)).unknown == ("careless",)
    await client.complete(stuck.id, "careless", by="mia", because="the car was given back")
    await rescued_by_hand(stage, stuck)
    assert (await client.preview(trip.id)).unknown == ()
    assert await rescue(stage, trip.id) == outcome.model_copy(update={"is_new": False})


async def test_rescue_that_only_has_a_child_to_account_for_waits_for_a_person(stage: Stage) -> None:
    """Nothing else is owed; the child must not be forgotten."""
    trip = await stage.start("careless-child")
    await stage.status(trip, "stuck")
    await trip.terminate("x")

    outcome = await rescue(stage, trip.id)
    stuck = stage.client.get_workflow_handle(outcome.workflow_id)
    stage.ids.append(stuck.id)
    await stage.status(stuck, "stuck")

    assert outcome.sentence == (
        f"{trip.id}: {stuck.id} waits for a person; nobody can tell what these children owe: careless"
    )
    await SagaClient(stage.client).skip(stuck.id, "careless", by="mia", because="there never was a car")
    await rescued_by_hand(stage, stuck)


async def test_saga_with_a_slash_in_its_id_is_nobodys_child(stage: Stage) -> None:
    """Whose child a workflow is stands in its history, not in its id."""
    root_id = f"tenant/{stage.task_queue}"
    plan = Plan(do=("hotel", Plan(do=("flight",)), "wait"))

    async def start() -> Handle:
        await stage.client.start_workflow(TripSaga.run, plan, id=root_id, task_queue=stage.task_queue)
        handle = stage.client.get_workflow_handle(root_id)
        await stage.event(handle, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED)
        return handle

    trip = await start()
    await trip.terminate("x")
    with pytest.raises(VerbRefusedError, match=f"its root '{root_id}'"):
        await rescue(stage, f"{root_id}/leg")
    assert (await rescued(stage, root_id)).owed == ("leg:book-flight", "book-hotel")
    assert not_made_up(stage, root_id) == []

    whole = await start()
    await whole.signal("go")
    assert (await stage.ending(whole)).closed == "COMPLETED"
    assert (await SagaClient(stage.client).preview(root_id)).has_completed


class CutOff(Interceptor):
    """A connection that breaks behind some signals.

    Args:
        after: How many go through.
        error: With what it breaks.
    """

    def __init__(self, after: int, error: Exception) -> None:
        self.left, self.error = after, error

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:  # noqa: A002 - Temporal's
        cut_off = self

        class Outbound(OutboundInterceptor):
            async def signal_workflow(self, input: SignalWorkflowInput) -> None:  # noqa: A002 - Temporal's
                if not cut_off.left:
                    raise cut_off.error
                cut_off.left -= 1
                await super().signal_workflow(input)

        return Outbound(next)


LARGE = ("big-900000", "big-900000", "big-900000", "big-900000", "big-900000", "wait")


async def large_trip(stage: Stage) -> Handle:
    """A trip that owes more than a server takes at once, and was cut off."""
    trip = await stage.start(*LARGE)
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=len(LARGE) - 1)
    await trip.terminate("x")
    return trip


async def rescue_through(stage: Stage, connection: CutOff, trip: Handle) -> None:
    """Rescues a trip on another connection, by a workflow that skips time."""
    config = TimeSkipper(stage.client).client.config()
    config["interceptors"] = [*config["interceptors"], connection]
    await SagaClient(Client(**config)).rescue(trip.id, by="mia", because="x")


async def test_saga_that_owes_more_than_a_message_takes_is_rescued(stage: Stage) -> None:
    """It is sent in parts, and asked twice nothing is sent again."""
    trip = await large_trip(stage)

    outcome = await rescued(stage, trip.id)

    assert len(outcome.owed) == len(LARGE) - 1
    assert not_made_up(stage, trip.id) == []
    assert await rescue(stage, trip.id) == outcome.model_copy(update={"is_new": False})


async def test_rescue_that_was_not_sent_everything_says_so_and_is_sent_the_rest(stage: Stage) -> None:
    """Nothing is compensated before all of it is there."""
    trip = await large_trip(stage)
    with pytest.raises(ConnectionError):
        await rescue_through(stage, CutOff(3, ConnectionError("cut off by the test")), trip)
    waiting = stage.client.get_workflow_handle(f"{trip.id}~rescue")
    await stage.status(waiting, "stuck")
    assert "arrived here: ask for the rescue again" in await stage.details(waiting)
    assert not [name for name in stage.agency.story if name.startswith("cancel-")]
    with pytest.raises(VerbRefusedError, match="nothing to retry: not all of what is owed has arrived"):
        await SagaClient(stage.client).retry(waiting.id, by="mia", because="x")

    outcome = await rescued(stage, trip.id)

    assert (outcome.is_new, len(outcome.owed)) == (False, len(LARGE) - 1)
    assert not_made_up(stage, trip.id) == []
    signals = [
        event.workflow_execution_signaled_event_attributes.input.payloads[0].data
        async for event in waiting.fetch_history_events()
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
    ]
    assert len(signals) == len(set(signals)) == json.loads(signals[0])["count"]


async def test_what_a_rescue_is_sent_that_is_no_part_of_it_is_passed_over(stage: Stage) -> None:
    """P7: whoever may signal a workflow may send anything, and it still owes all that it did."""
    trip = await large_trip(stage)
    with pytest.raises(ConnectionError):
        await rescue_through(stage, CutOff(3, ConnectionError("cut off by the test")), trip)
    waiting = stage.client.get_workflow_handle(f"{trip.id}~rescue")
    debtless = {"of": "x", "number": 0, "count": 1, "text": "{}"}
    for content in ([], [None], [{"of": "x"}], [debtless], [debtless, debtless]):
        await waiting.signal("saga-rescue-part", args=content)

    assert len((await rescued(stage, trip.id)).owed) == len(LARGE) - 1
    assert not_made_up(stage, trip.id) == []


async def test_server_that_takes_less_than_usual_is_told_of_in_a_sentence(stage: Stage) -> None:
    """Who has set its limits can raise them, and ask again."""
    trip = await large_trip(stage)
    refusal = RPCError("Blob data size exceeds limit", RPCStatusCode.INVALID_ARGUMENT, b"")

    with pytest.raises(VerbRefusedError, match=r"exceeds limit\); raise its limits and ask again"):
        await rescue_through(stage, CutOff(1, refusal), trip)

    assert len((await rescued(stage, trip.id)).owed) == len(LARGE) - 1
