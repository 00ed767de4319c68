"""Interrupted sagas are rescued from their histories: each pending compensation runs once."""

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

from sagas._history.ledger_rebuild import rebuild_saga
from sagas._history.parser import read_history
from sagas.operator import RescueDecision, SagaClient, SagaNotFoundError, VerbRefusedError, render_timeline
from tests.waiting import until

from ..fixtures.trip_rescues import calls_of, not_made_up, rescue, rescued
from ..fixtures.trip_saga import Gate, Plan, TripSaga, refuses
from ..fixtures.trip_worker import PATIENCE, Ending, Handle, Stage

pytestmark = pytest.mark.parametrize("stage", [1000], indirect=True, ids=["cached"])


@workflow.defn(name="TimedOutTrip")
class TimedOutTrip(TripSaga):
    """A trip that does not see its run timeout; a saga with a run timeout would refuse to start."""

    @workflow.run
    async def run(self, plan: Plan) -> list[str]:
        object.__setattr__(workflow.info(), "run_timeout", None)
        return await super().run(plan)


async def settled(stage: Stage, handle: Handle) -> None:
    """Waits for the end of a rescue with a manually resolved step."""
    ending = await stage.ending(handle)
    assert (ending.closed, ending.saga) == ("COMPLETED", "settled")


async def terminate_after(handle: Handle, number: int) -> bool:
    """Terminates a saga as soon as its history has so many events; False if the saga had closed before."""
    async with asyncio.timeout(PATIENCE):
        async for event in handle.fetch_history_events(wait_new_event=True):
            if event.event_id >= number:
                break
    try:
        await handle.terminate("interrupted by the test")
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


async def test_interrupted_saga_and_its_rescue_are_listed_and_shown(stage: Stage) -> None:
    """List, timeline and preview have the interruption, the progress of the rescue, and its end."""
    stage.agency.when("cancel-hotel", refuses("too_late"))
    trip = await stage.start("hotel", "flight", "wait")
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=2)
    await trip.terminate(reason="x")
    # The id of a workflow without a saga may contain any character.
    other = await stage.client.start_workflow(
        "WorkflowWithoutWorker", id=f"it's {trip.id} \\", task_queue=stage.task_queue
    )
    await other.terminate()
    client = SagaClient(stage.client)

    async def listed() -> list[tuple[str, str]]:
        here = f"TaskQueue = '{stage.task_queue}'"
        return [(each.id, each.rescue) for each in await client.list(status="terminated", query=here)]

    async def will_be_listed(*expected: tuple[str, str]) -> None:
        async def is_up_to_date() -> bool:
            return sorted(await listed()) == sorted([(other.id, ""), *expected])

            # The server's list lags behind by an unknown time.

        await until(is_up_to_date)

    await will_be_listed((trip.id, ""))
    with pytest.raises(VerbRefusedError, match=r"the saga has ended as terminated; rescue the saga$"):
        await client.hold(trip.id, by="mia", because="x")
    stuck = stage.client.get_workflow_handle((await rescue(stage, trip.id)).workflow_id)
    await stage.status(stuck, "stuck")
    await will_be_listed((trip.id, "stuck"))
    preview = await client.preview(trip.id)
    assert preview.sentence == "1 compensation still to run"
    assert [each.address for each in preview.compensations] == ["book-hotel"]
    timeline = await client.show(stuck.id)
    assert timeline == await client.show(trip.id)
    assert "waits: for an operator\n" in render_timeline(timeline)
    assert timeline.steps[0].compensations[0].reason == "too_late, sorry"
    await client.skip(stuck.id, "book-hotel", by="mia", because="a credit note was sent")
    await settled(stage, stuck)
    await will_be_listed((trip.id, "settled"))
    ended = await client.preview(stuck.id)
    assert ended.sentence == "no compensation is pending"
    assert [(s.address, s.because) for s in ended.stays] == [
        ("book-hotel", "skipped by mia: a credit note was sent")
    ]
    with pytest.raises(VerbRefusedError, match=r"its rescue '.*~rescue' is settled$"):
        await client.hold(trip.id, by="mia", because="x")
    with pytest.raises(VerbRefusedError, match=r"the rescue has ended as settled$"):
        await client.hold(stuck.id, by="mia", because="x")


async def test_continued_saga_is_not_listed_as_terminated(stage: Stage) -> None:
    """The first run was terminated, and the saga continues in another run."""
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
async def test_saga_terminated_after_any_event_is_rescued(stage: Stage, do: tuple[str | Plan, ...]) -> None:
    """Every effect is compensated, or the saga continues past its pivot, also after a repeated rescue."""
    uninterrupted = await stage.start(*do)
    await stage.ending(uninterrupted)
    length = len((await uninterrupted.fetch_history()).events)

    async def terminate_and_rescue(number: int) -> str:
        trip = await stage.start(*do)
        if not await terminate_after(trip, number):
            return "closed before"
        outcome = await rescued(stage, trip.id)
        calls = calls_of(stage, trip.id, fenced=True)
        if outcome.course is RescueDecision.CONTINUING:
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

    decisions = Counter(await asyncio.gather(*(terminate_and_rescue(n) for n in range(1, length))))

    assert decisions[RescueDecision.COMPENSATING] > 0
    assert bool(decisions[RescueDecision.CONTINUING]) is ("pay" in do)
    print(length, dict(decisions))


@pytest.mark.parametrize("do", [("hotel", "flight", "wait"), ("hotel", Plan(do=("flight", "wait")))], ids=str)
async def test_timed_out_saga_is_rescued(stage: Stage, do: tuple[str | Plan, ...]) -> None:
    """The server closes the workflow, and no workflow code runs."""
    await stage.close()
    stage.workflows = [TimedOutTrip, TripSaga]
    await stage.open()
    trip = await stage.client.start_workflow(
        TimedOutTrip.run,
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


async def test_rescue_uses_the_keys_and_results_of_the_saga(stage: Stage) -> None:
    """The compensations run newest first, and equal the saga's own for the participants."""
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
    """The parent does not know the child's compensations; the child's own history has them."""
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


async def test_rescue_waits_for_compensating_children_with_a_timeout(stage: Stage) -> None:
    """A second workflow must not run the same compensations."""
    gate = stage.agency.hold("cancel-flight")
    trip = await stage.start("hotel", Plan(do=("flight", "wait")))
    child = stage.child_of(trip, "leg")
    await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await stage.event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await trip.terminate("x")
    await gate.entered.wait()

    with pytest.raises(VerbRefusedError, match="leg' has not ended"):
        await rescue(stage, trip.id, timeout=0.2)
    assert "cancel-hotel" not in stage.agency.story

    gate.opened.set()
    outcome = await rescued(stage, trip.id)
    assert outcome.owed == ("book-hotel",)
    assert not_made_up(stage, trip.id) == []


async def test_rescue_refuses_to_wait_for_a_stuck_child(stage: Stage) -> None:
    """The reason has the commands that resolve the child."""
    stage.agency.when("cancel-flight", refuses("too_late"))
    trip = await stage.start("hotel", Plan(do=("flight", "wait")))
    child = stage.child_of(trip, "leg")
    await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await stage.event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await trip.terminate("x")
    await stage.status(child, "stuck")

    async with asyncio.timeout(5):
        with pytest.raises(VerbRefusedError, match=f"child '{child.id}' is stuck") as refused:
            await rescue(stage, trip.id, timeout=600)
    assert f"`sagas retry {child.id}`" in str(refused.value)
    assert f"`sagas skip {child.id} book-flight`" in str(refused.value)
    assert f"`sagas complete {child.id} book-flight`" in str(refused.value)
    assert "cancel-hotel" not in stage.agency.story

    await stage.retry(child)
    outcome = await rescued(stage, trip.id)
    assert outcome.owed == ("book-hotel",)
    assert not_made_up(stage, trip.id) == []


async def test_child_that_gets_stuck_during_the_wait_is_reported_as_stuck(stage: Stage) -> None:
    """The reason after the timeout has the commands that resolve the child."""
    gate = Gate()
    stage.agency.when("cancel-flight", gate.hold, refuses("too_late"))
    trip = await stage.start("hotel", Plan(do=("flight", "flight", "wait")))
    child = stage.child_of(trip, "leg")
    await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await stage.event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=2)
    await trip.terminate("x")
    await gate.entered.wait()

    rescuing = asyncio.create_task(rescue(stage, trip.id, timeout=2))
    gate.opened.set()
    await stage.status(child, "stuck")
    with pytest.raises(VerbRefusedError, match=f"`sagas skip {child.id} book-flight`"):
        await rescuing
    await stage.retry(child)
    await rescued(stage, trip.id)


async def test_rescue_refuses_to_wait_for_a_child_with_failing_code(stage: Stage) -> None:
    """Such a child cannot compensate; after its termination, the rescue of the parent covers the child."""
    trip = await stage.start("hotel", Plan(do=("flight", "fail-outside")))
    child = stage.child_of(trip, "leg")
    await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await stage.event(child, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)
    await trip.terminate("x")

    async with asyncio.timeout(5):
        with pytest.raises(VerbRefusedError, match=rf"code of child '{child.id}' fails \(.*or terminate"):
            await rescue(stage, trip.id, timeout=600)
    await child.terminate("x")
    outcome = await rescued(stage, trip.id)
    assert outcome.owed == ("leg:book-flight", "book-hotel")
    stage.ids.remove(trip.id)  # what failed its tasks fails in replay


async def test_concurrent_rescues_start_one_rescue_workflow(stage: Stage) -> None:
    """One request starts the workflow, and the others find the workflow."""
    trip = await stage.start("hotel", "flight", "wait")
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=2)
    await trip.terminate("x")

    requests = [rescue(stage, trip.id, by=f"o{n}") for n in range(5)]
    outcomes = await asyncio.gather(*requests)
    await rescued(stage, trip.id)

    assert len({each.run_id for each in outcomes}) == 1
    assert [each.is_new for each in outcomes].count(True) == 1
    assert stage.agency.story == ["book-hotel", "book-flight", "cancel-flight", "cancel-hotel"]


async def test_concurrent_rescues_past_the_pivot_continue_the_saga_once(stage: Stage) -> None:
    """One request resets the workflow, and the others find the new run."""
    gate = stage.agency.hold("pay")
    trip = await stage.start("hotel", "pay", "ticket")
    await gate.entered.wait()
    await trip.terminate("x")

    outcomes = await asyncio.gather(*(rescue(stage, trip.id) for _ in range(5)))
    gate.opened.set()

    assert len({each.run_id for each in outcomes}) == 1
    assert (await stage.ending(stage.client.get_workflow_handle(trip.id))).closed == "COMPLETED"
    assert stage.agency.story == ["book-hotel", "pay", "pay", "send-ticket"]
    assert len(set(stage.agency.keys["pay"])) == 1


async def test_stuck_rescue_is_shown_and_retried(stage: Stage) -> None:
    """A rescue workflow takes verbs like every saga."""
    stage.agency.when("cancel-hotel", refuses("too_late"))
    trip = await stage.start("hotel", "wait")
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await trip.terminate("x")
    client = SagaClient(stage.client)

    outcome = await rescue(stage, trip.id)
    stuck = stage.client.get_workflow_handle(outcome.workflow_id)
    await stage.status(stuck, "stuck")
    timeline = await client.show(trip.id)
    assert timeline.rescue is not None
    assert (timeline.status, timeline.rescue.status) == ("terminated", "stuck")

    await client.retry(outcome.workflow_id, by="mia", because="the hotel is open again")
    assert (await stage.ending(stuck)).saga == "compensated"


async def test_cancel_does_not_stop_a_rescue(stage: Stage) -> None:
    """A rescue only compensates, and ignores a cancel even while stuck."""
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


async def test_running_completed_and_compensated_sagas_need_no_rescue(stage: Stage) -> None:
    """A rescue is refused, or starts nothing."""
    running = await stage.start("hotel", "wait")
    with pytest.raises(VerbRefusedError, match="still running"):
        await rescue(stage, running.id)
    await running.signal("go")
    assert (await stage.ending(running)).closed == "COMPLETED"
    with pytest.raises(VerbRefusedError, match="completed"):
        await rescue(stage, running.id)
    failed = await stage.start("hotel", "fail")
    assert (await stage.ending(failed)) == Ending("FAILED", "compensated", "ApplicationError")
    assert (await rescue(stage, failed.id)).course is RescueDecision.NOTHING_PENDING
    with pytest.raises(SagaNotFoundError, match="saga 'nobody' was not found"):
        await rescue(stage, "nobody")
    assert stage.agency.story == ["book-hotel", "book-hotel", "cancel-hotel"]


async def test_child_is_rescued_alone_while_its_parent_is_stuck(stage: Stage) -> None:
    """The operator completes the child in the parent afterwards, and no compensation runs twice."""
    trip = await stage.start("hotel", Plan(do=("flight", "wait")))
    await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    child = stage.child_of(trip, "leg")
    await stage.event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await child.terminate("x")
    await stage.status(trip, "stuck")

    assert (await rescued(stage, child.id)).owed == ("book-flight",)
    await SagaClient(stage.client).complete(trip.id, "leg", by="mia", because="the child was rescued")

    assert (await stage.ending(trip)).saga == "settled"
    assert stage.agency.keys["cancel-flight"] == [f"{trip.id}/leg:book-flight"]


async def test_completed_child_is_not_rescued(stage: Stage) -> None:
    """The parent runs the compensations of a completed child."""
    trip = await stage.start(Plan(do=("flight",)), "wait")
    await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED)

    with pytest.raises(VerbRefusedError, match="completed"):
        await rescue(stage, f"{trip.id}/leg")


async def test_child_of_a_closed_parent_is_rescued_with_its_root(stage: Stage) -> None:
    """A rescue of the child alone would be unknown to the rescue of the root."""
    trip = await stage.start("hotel", Plan(do=("flight", "wait")))
    await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    child = stage.child_of(trip, "leg")
    await stage.event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await child.terminate("x")
    await stage.status(trip, "stuck")
    await trip.terminate("x")

    with pytest.raises(VerbRefusedError, match=f"its root '{trip.id}'"):
        await rescue(stage, child.id)


async def test_rescued_child_is_not_compensated_again_with_its_parent(stage: Stage) -> None:
    """The rescue of the parent knows the rescue of the child."""
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


async def test_terminated_rescue_is_continued(stage: Stage) -> None:
    """A repeated rescue continues the rescue workflow where it was interrupted."""
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
    await SagaClient(stage.client).retry(again.workflow_id, by="mia", because="the hotel is open again")
    await rescued(stage, trip.id)

    assert not_made_up(stage, trip.id) == []
    assert Counter(stage.agency.story) == Counter(
        ["book-hotel", "book-flight", "cancel-flight", "cancel-hotel", "cancel-hotel"]
    )


async def test_saga_that_continued_as_new_is_rescued(stage: Stage) -> None:
    """The pending compensations of earlier runs are part of the continued state, and keep their order."""
    trip = await stage.start("hotel", Plan(do=("flight",)), "again", "car", "wait")
    last = await stage.next_run(trip)
    await stage.event(last, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await last.terminate("x")

    events = [event async for event in last.fetch_history_events()]

    outcome = await rescued(stage, trip.id)

    assert outcome.owed == ("book-car", "leg:book-flight", "book-hotel")
    # The last run has everything, as the server may no longer keep the first run.
    last_run = rebuild_saga(read_history(trip.id, events, stage.client.data_converter)).ledger
    assert tuple(compensation.address for compensation in last_run.pending()) == outcome.owed
    assert not_made_up(stage, trip.id) == []
    assert [booking and booking.number for booking in stage.agency.results] == ["book-hotel-1"]


LEG = Plan(do=("flight", "pay", "look"), is_pivot=True)


async def test_saga_continues_after_a_completed_pivot_child(stage: Stage) -> None:
    """The child completed after the termination of the parent; participants repeat their answers by key."""
    gate = stage.agency.hold("look-around")
    trip = await stage.start("hotel", LEG, "ticket")
    await gate.entered.wait()
    await trip.cancel()
    await stage.event(trip, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
    await trip.terminate("x")
    gate.opened.set()
    assert (await stage.ending(stage.child_of(trip, "leg"))).closed == "COMPLETED"

    assert (await rescued(stage, trip.id)).course is RescueDecision.CONTINUING

    assert stage.agency.story[-1] == "send-ticket"
    assert not [name for name in stage.agency.story if name.startswith("cancel-")]
    assert all(len(set(keys)) == 1 for keys in stage.agency.keys.values())


async def test_saga_continues_after_a_pivot_child_interrupted_past_its_pivot(stage: Stage) -> None:
    """Parent and child were terminated, and nothing before the child's pivot is compensated."""
    gate = stage.agency.hold("look-around")
    trip = await stage.start("hotel", LEG, "ticket")
    await gate.entered.wait()
    child = stage.child_of(trip, "leg")
    await trip.terminate("x")
    await child.terminate("x")
    gate.opened.set()

    assert (await rescued(stage, trip.id)).course is RescueDecision.CONTINUING

    assert stage.agency.story[-1] == "send-ticket"
    assert not [name for name in stage.agency.story if name.startswith("cancel-")]


@pytest.mark.parametrize("do", [("wait", "ticket"), ("again", "wait", "ticket")], ids=str)
async def test_manually_completed_pivot_child_is_not_started_again(stage: Stage, do: tuple[str, ...]) -> None:
    """The continued saga must not repeat a payment that was made manually."""
    gate = stage.agency.hold("book-flight")
    trip = await stage.start("hotel", LEG, *do)
    await gate.entered.wait()
    await stage.child_of(trip, "leg").terminate("before the payment")
    gate.opened.set()
    await stage.status(trip, "stuck")
    client = SagaClient(stage.client)
    await client.complete(trip.id, "leg", by="mia", because="paid by bank transfer", result=["pay"])
    latest = stage.client.get_workflow_handle(trip.id)
    if "again" in do:
        latest = await stage.next_run(trip)
        await stage.event(latest, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED)
    await latest.terminate("x")

    assert (await rescue(stage, trip.id)).course is RescueDecision.CONTINUING
    await latest.signal("go")

    assert (await stage.ending(latest)).saga == "settled"
    assert stage.agency.story == ["book-hotel", "book-flight", "send-ticket"]


async def test_saga_is_compensated_with_a_pivot_child_interrupted_before_its_pivot(stage: Stage) -> None:
    """The pivot has not happened, so the steps of parent and child are compensated."""
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


async def test_saga_is_compensated_after_a_compensated_pivot_child(stage: Stage) -> None:
    """Temporal cancelled the child at the end of its parent, and the child compensated."""
    trip = await stage.start("hotel", Plan(do=("flight", "sleep", "pay"), is_pivot=True), "ticket")
    await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await stage.event(stage.child_of(trip, "leg"), EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await trip.terminate("x")

    assert (await rescued(stage, trip.id)).owed == ("book-hotel",)

    assert not_made_up(stage, trip.id) == []


async def test_cancel_after_a_rescue_does_not_compensate_a_done_pivot(stage: Stage) -> None:
    """P6: the repeated pivot is withdrawn before a worker receives it, but the pivot was done before."""
    await stage.open("nobody", workflows=False)
    pay = stage.agency.hold("pay")
    trip = await stage.start("hotel", "pay-far", "wait")
    await pay.entered.wait()
    await trip.terminate("x")
    pay.opened.set()
    await stage.close()
    outcome = await rescue(stage, trip.id)
    assert outcome.course is RescueDecision.CONTINUING
    again = stage.client.get_workflow_handle(trip.id, run_id=outcome.run_id)
    await stage.open()
    await stage.event(again, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, nth=2)

    await again.cancel()
    await stage.event(again, EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED)
    await stage.open("nobody", workflows=False)
    await again.signal("go")

    assert (await stage.ending(again)).closed == "COMPLETED"
    assert "cancel-hotel" not in stage.agency.story


async def test_rescue_is_stuck_with_a_child_with_unknown_compensations(stage: Stage) -> None:
    """The rescue runs all other compensations, and waits for an operator."""
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
    await settled(stage, stuck)
    assert (await client.preview(trip.id)).unknown == ()
    assert await rescue(stage, trip.id) == outcome.model_copy(update={"is_new": False})


async def test_rescue_with_only_unknown_compensations_waits_for_an_operator(stage: Stage) -> None:
    """No other compensation is pending, but the child must not be forgotten."""
    trip = await stage.start("careless-child")
    await stage.status(trip, "stuck")
    await trip.terminate("x")

    outcome = await rescue(stage, trip.id)
    stuck = stage.client.get_workflow_handle(outcome.workflow_id)
    stage.ids.append(stuck.id)
    await stage.status(stuck, "stuck")

    assert outcome.sentence == (
        f"{trip.id}: {stuck.id} waits for an operator; "
        "the compensations of these children are unknown: careless"
    )
    await SagaClient(stage.client).skip(stuck.id, "careless", by="mia", because="no car was booked")
    await settled(stage, stuck)


async def test_saga_with_a_slash_in_its_id_is_not_a_child(stage: Stage) -> None:
    """The history, and not the id, says whether a workflow is a child."""
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

    uninterrupted = await start()
    await uninterrupted.signal("go")
    assert (await stage.ending(uninterrupted)).closed == "COMPLETED"
    assert (await SagaClient(stage.client).preview(root_id)).has_completed


class BrokenConnection(Interceptor):
    """A connection that breaks after some signals.

    Args:
        after: The number of signals that are sent.
        error: The error of every further signal.
    """

    def __init__(self, after: int, error: Exception) -> None:
        self.remaining, self.error = after, error

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:  # noqa: A002 - Temporal's
        connection = self

        class Outbound(OutboundInterceptor):
            async def signal_workflow(self, input: SignalWorkflowInput) -> None:  # noqa: A002 - Temporal's
                if not connection.remaining:
                    raise connection.error
                connection.remaining -= 1
                await super().signal_workflow(input)

        return Outbound(next)


LARGE = ("big-900000", "big-900000", "big-900000", "big-900000", "big-900000", "wait")


async def large_trip(stage: Stage) -> Handle:
    """Starts and terminates a trip with more pending compensations than one message can have."""
    trip = await stage.start(*LARGE)
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=len(LARGE) - 1)
    await trip.terminate("x")
    return trip


async def rescue_through(stage: Stage, connection: BrokenConnection, trip: Handle) -> None:
    """Rescues a trip on another connection, with a rescue workflow that skips time."""
    config = TimeSkipper(stage.client).client.config()
    config["interceptors"] = [*config["interceptors"], connection]
    await SagaClient(Client(**config)).rescue(trip.id, by="mia", because="x")


async def test_large_pending_compensations_are_sent_in_chunks(stage: Stage) -> None:
    """A repeated rescue sends no chunk again."""
    trip = await large_trip(stage)

    outcome = await rescued(stage, trip.id)

    assert len(outcome.owed) == len(LARGE) - 1
    assert not_made_up(stage, trip.id) == []
    assert await rescue(stage, trip.id) == outcome.model_copy(update={"is_new": False})


async def test_missing_chunks_are_reported_and_sent_by_a_repeated_rescue(stage: Stage) -> None:
    """No compensation runs before all chunks have arrived."""
    trip = await large_trip(stage)
    with pytest.raises(ConnectionError):
        await rescue_through(stage, BrokenConnection(3, ConnectionError("interrupted by the test")), trip)
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


async def test_foreign_chunks_are_ignored(stage: Stage) -> None:
    """P7: any client can send signals, and no compensation is lost by them."""
    trip = await large_trip(stage)
    with pytest.raises(ConnectionError):
        await rescue_through(stage, BrokenConnection(3, ConnectionError("interrupted by the test")), trip)
    waiting = stage.client.get_workflow_handle(f"{trip.id}~rescue")
    empty = {"of": "x", "number": 0, "count": 1, "text": "{}"}
    for content in ([], [None], [{"of": "x"}], [empty], [empty, empty]):
        await waiting.signal("saga-rescue-part", args=content)

    assert len((await rescued(stage, trip.id)).owed) == len(LARGE) - 1
    assert not_made_up(stage, trip.id) == []


async def test_size_limit_of_the_server_is_explained(stage: Stage) -> None:
    """An operator can raise the limit and repeat the rescue."""
    trip = await large_trip(stage)
    refusal = RPCError("Blob data size exceeds limit", RPCStatusCode.INVALID_ARGUMENT, b"")

    with pytest.raises(VerbRefusedError, match=r"exceeds limit\); raise its size limits, and repeat"):
        await rescue_through(stage, BrokenConnection(1, refusal), trip)

    assert len((await rescued(stage, trip.id)).owed) == len(LARGE) - 1
