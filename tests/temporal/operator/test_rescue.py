"""Interrupted sagas are rescued from their histories: each pending compensation runs once."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
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

from ..fixtures.trip_participants import ActivityLatch, rejects
from ..fixtures.trip_plan import TripPlan
from ..fixtures.trip_rescues import rescue, rescued, uncompensated_bookings
from ..fixtures.trip_saga import TripSaga
from ..fixtures.worker_harness import Ending, Handle, WorkerHarness

pytestmark = pytest.mark.parametrize("harness", [1000], indirect=True, ids=["cached"])


@workflow.defn(name="TimedOutTrip")
class TimedOutTrip(TripSaga):
    """A trip that ignores the run timeout; a saga with a run timeout would refuse to start."""

    @workflow.run
    async def run(self, plan: TripPlan) -> list[str]:
        object.__setattr__(workflow.info(), "run_timeout", None)
        return await super().run(plan)


async def settled(harness: WorkerHarness, handle: Handle) -> None:
    """Waits for the end of a rescue with a manually resolved step."""
    ending = await harness.wait_for_ending(handle)
    assert (ending.closed, ending.saga) == ("COMPLETED", "settled")


async def until_listed(
    listed: Callable[[], Awaitable[list[tuple[str, str]]]], *expected: tuple[str, str]
) -> None:
    """Waits for the server's list, which lags behind by an unknown time."""

    async def is_up_to_date() -> bool:
        return sorted(await listed()) == sorted(expected)

    await until(is_up_to_date)


async def test_interrupted_saga_and_its_rescue_are_listed_and_shown(harness: WorkerHarness) -> None:
    """List, timeline and preview have the interruption, and the progress and end of the rescue."""
    harness.participants.when("cancel-hotel", rejects("too_late"))
    trip = await harness.start_trip("hotel", "flight", "wait")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=2)
    await trip.terminate(reason="x")
    # The id of a workflow without a saga may contain any character.
    other = await harness.client.start_workflow(
        "WorkflowWithoutWorker", id=f"it's {trip.id} \\", task_queue=harness.task_queue
    )
    await other.terminate()
    client = SagaClient(harness.client)

    async def listed() -> list[tuple[str, str]]:
        here = f"TaskQueue = '{harness.task_queue}'"
        return [(each.id, each.rescue) for each in await client.list(status="terminated", query=here)]

    async def will_be_listed(*expected: tuple[str, str]) -> None:
        await until_listed(listed, (other.id, ""), *expected)

    await will_be_listed((trip.id, ""))
    with pytest.raises(VerbRefusedError, match=r"the saga has ended as terminated; rescue the saga$"):
        await client.hold(trip.id, by="mia", because="x")
    stuck = harness.client.get_workflow_handle((await rescue(harness, trip.id)).workflow_id)
    await harness.wait_for_status(stuck, "stuck")
    await will_be_listed((trip.id, "stuck"))
    preview = await client.preview(trip.id)
    assert preview.sentence == "1 compensation still to run"
    assert [each.address for each in preview.compensations] == ["book-hotel"]
    timeline = await client.show(stuck.id)
    assert timeline == await client.show(trip.id)
    assert "waits: for an operator\n" in render_timeline(timeline)
    assert timeline.steps[0].compensations[0].reason == "too_late, sorry"
    await client.skip(stuck.id, "book-hotel", by="mia", because="a credit note was sent")
    await settled(harness, stuck)
    await will_be_listed((trip.id, "settled"))
    ended = await client.preview(stuck.id)
    assert ended.sentence == "no compensation is pending"
    assert [(s.address, s.reason) for s in ended.remaining_effects] == [
        ("book-hotel", "skipped by mia: a credit note was sent")
    ]
    with pytest.raises(VerbRefusedError, match=r"its rescue '.*~rescue' is settled$"):
        await client.hold(trip.id, by="mia", because="x")
    with pytest.raises(VerbRefusedError, match=r"the rescue has ended as settled$"):
        await client.hold(stuck.id, by="mia", because="x")


async def test_continued_saga_is_not_listed_as_terminated(harness: WorkerHarness) -> None:
    """The first run was terminated, and the saga continues in another run."""
    latch = harness.participants.block("pay")
    trip = await harness.start_trip("hotel", "pay", "ticket")
    await latch.entered.wait()
    await trip.terminate(reason="x")
    client = SagaClient(harness.client)

    async def is_listed() -> bool:
        query = f"WorkflowId = '{trip.id}'"
        return [each.id for each in await client.list(status="terminated", query=query)] == [trip.id]

    await until(is_listed)
    await rescue(harness, trip.id)

    async def is_gone() -> bool:
        return not await is_listed()

    await until(is_gone)
    latch.released.set()
    assert (await harness.wait_for_ending(harness.client.get_workflow_handle(trip.id))).closed == "COMPLETED"


@pytest.mark.parametrize(
    "do", [("hotel", "flight", "wait"), ("hotel", TripPlan(do=("flight", "wait")))], ids=str
)
async def test_timed_out_saga_is_rescued(harness: WorkerHarness, do: tuple[str | TripPlan, ...]) -> None:
    """The server closes the workflow, and no workflow code runs."""
    await harness.stop_workers()
    harness.workflows = [TimedOutTrip, TripSaga]
    await harness.start_worker()
    trip = await harness.client.start_workflow(
        TimedOutTrip.run,
        TripPlan(do=do),
        id=f"late-{len(do)}-{harness.task_queue}",
        task_queue=harness.task_queue,
        run_timeout=timedelta(seconds=4),
    )
    assert (await harness.wait_for_ending(trip)).closed == "TIMED_OUT"
    assert (await SagaClient(harness.client).show(trip.id)).status == "timed-out"

    await rescued(harness, trip.id)

    assert uncompensated_bookings(harness, trip.id) == []
    assert harness.participants.started[:2] == ["book-hotel", "book-flight"]
    assert sorted(harness.participants.started[2:]) == ["cancel-flight", "cancel-hotel"]


async def test_rescue_uses_the_keys_and_results_of_the_saga(harness: WorkerHarness) -> None:
    """The compensations run newest first, and equal the saga's own for the participants."""
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "car")), "wait")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED)
    await trip.terminate("x")

    outcome = await rescued(harness, trip.id)

    assert outcome.pending == ("leg:book-car", "leg:book-flight", "book-hotel")
    assert harness.participants.started[3:] == ["cancel-car", "cancel-flight", "cancel-hotel"]
    for what in ("hotel", "flight", "car"):
        assert harness.participants.keys[f"cancel-{what}"] == harness.participants.keys[f"book-{what}"]
    assert [booking and booking.number for booking in harness.participants.results] == ["book-hotel-1"]


async def test_terminated_child_is_rescued_with_its_parent(harness: WorkerHarness) -> None:
    """The parent does not know the child's compensations; the child's own history has them."""
    trip = await harness.start_trip(
        "hotel", TripPlan(do=("flight", TripPlan(do=("car",), name="night"), "wait"))
    )
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(child, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED)
    await child.terminate("x")
    await harness.wait_for_status(trip, "stuck")
    await trip.terminate("x")

    outcome = await rescued(harness, trip.id)

    assert set(outcome.pending) == {"leg/night:book-car", "leg:book-flight"}
    assert uncompensated_bookings(harness, trip.id) == []
    assert Counter(harness.participants.started)["cancel-hotel"] == 1


async def test_rescue_waits_for_compensating_children_with_a_timeout(harness: WorkerHarness) -> None:
    """A second workflow must not run the same compensations."""
    latch = harness.participants.block("cancel-flight")
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "wait")))
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await harness.wait_for_event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await trip.terminate("x")
    await latch.entered.wait()

    with pytest.raises(VerbRefusedError, match="leg' has not ended"):
        await rescue(harness, trip.id, timeout=0.2)
    assert "cancel-hotel" not in harness.participants.started

    latch.released.set()
    outcome = await rescued(harness, trip.id)
    assert outcome.pending == ("book-hotel",)
    assert uncompensated_bookings(harness, trip.id) == []


async def test_rescue_refuses_to_wait_for_a_stuck_child(harness: WorkerHarness) -> None:
    """The reason has the commands that resolve the child."""
    harness.participants.when("cancel-flight", rejects("too_late"))
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "wait")))
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await harness.wait_for_event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await trip.terminate("x")
    await harness.wait_for_status(child, "stuck")

    async with asyncio.timeout(5):
        with pytest.raises(VerbRefusedError, match=f"child '{child.id}' is stuck") as refused:
            await rescue(harness, trip.id, timeout=600)
    assert f"`sagas retry {child.id}`" in str(refused.value)
    assert f"`sagas skip {child.id} book-flight`" in str(refused.value)
    assert f"`sagas complete {child.id} book-flight`" in str(refused.value)
    assert "cancel-hotel" not in harness.participants.started

    await harness.retry_stuck(child)
    outcome = await rescued(harness, trip.id)
    assert outcome.pending == ("book-hotel",)
    assert uncompensated_bookings(harness, trip.id) == []


async def test_child_that_gets_stuck_during_the_wait_is_reported_as_stuck(harness: WorkerHarness) -> None:
    """The reason after the timeout has the commands that resolve the child."""
    latch = ActivityLatch()
    harness.participants.when("cancel-flight", latch.block, rejects("too_late"))
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "flight", "wait")))
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await harness.wait_for_event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=2)
    await trip.terminate("x")
    await latch.entered.wait()

    rescuing = asyncio.create_task(rescue(harness, trip.id, timeout=2))
    latch.released.set()
    await harness.wait_for_status(child, "stuck")
    with pytest.raises(VerbRefusedError, match=f"`sagas skip {child.id} book-flight`"):
        await rescuing
    await harness.retry_stuck(child)
    await rescued(harness, trip.id)


async def test_rescue_refuses_to_wait_for_a_child_with_failing_code(harness: WorkerHarness) -> None:
    """The child cannot compensate; after a termination of the child, the parent's rescue covers the child."""
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "fail-after-block")))
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await harness.wait_for_event(child, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)
    await trip.terminate("x")

    async with asyncio.timeout(5):
        with pytest.raises(
            VerbRefusedError, match=rf"code of child '{child.id}' fails \(.*or add `--terminate`"
        ):
            await rescue(harness, trip.id, timeout=600)
    await child.terminate("x")
    outcome = await rescued(harness, trip.id)
    assert outcome.pending == ("leg:book-flight", "book-hotel")
    harness.workflow_ids.remove(trip.id)  # a workflow with a failing workflow task fails in replay as well


async def test_concurrent_rescues_start_one_rescue_workflow(harness: WorkerHarness) -> None:
    """One request starts the workflow, and the others find the workflow."""
    trip = await harness.start_trip("hotel", "flight", "wait")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=2)
    await trip.terminate("x")

    requests = [rescue(harness, trip.id, by=f"o{n}") for n in range(5)]
    outcomes = await asyncio.gather(*requests)
    await rescued(harness, trip.id)

    assert len({each.run_id for each in outcomes}) == 1
    assert [each.is_new for each in outcomes].count(True) == 1
    assert harness.participants.started == ["book-hotel", "book-flight", "cancel-flight", "cancel-hotel"]


async def test_concurrent_rescues_past_the_pivot_continue_the_saga_once(harness: WorkerHarness) -> None:
    """One request resets the workflow, and the others find the new run."""
    latch = harness.participants.block("pay")
    trip = await harness.start_trip("hotel", "pay", "ticket")
    await latch.entered.wait()
    await trip.terminate("x")

    outcomes = await asyncio.gather(*(rescue(harness, trip.id) for _ in range(5)))
    latch.released.set()

    assert len({each.run_id for each in outcomes}) == 1
    assert (await harness.wait_for_ending(harness.client.get_workflow_handle(trip.id))).closed == "COMPLETED"
    assert harness.participants.started == ["book-hotel", "pay", "pay", "send-ticket"]
    assert len(set(harness.participants.keys["pay"])) == 1


async def test_stuck_rescue_is_shown_and_retried(harness: WorkerHarness) -> None:
    """A rescue workflow takes verbs like every saga."""
    harness.participants.when("cancel-hotel", rejects("too_late"))
    trip = await harness.start_trip("hotel", "wait")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await trip.terminate("x")
    client = SagaClient(harness.client)

    outcome = await rescue(harness, trip.id)
    stuck = harness.client.get_workflow_handle(outcome.workflow_id)
    await harness.wait_for_status(stuck, "stuck")
    timeline = await client.show(trip.id)
    assert timeline.rescue is not None
    assert (timeline.status, timeline.rescue.status) == ("terminated", "stuck")

    await client.retry(outcome.workflow_id, by="mia", because="the hotel is open again")
    assert (await harness.wait_for_ending(stuck)).saga == "compensated"


async def test_cancel_does_not_stop_a_rescue(harness: WorkerHarness) -> None:
    """A rescue only compensates, and ignores a cancel even while stuck."""
    harness.participants.when("cancel-hotel", rejects("too_late"))
    trip = await harness.start_trip("hotel", "wait")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await trip.terminate("x")
    outcome = await rescue(harness, trip.id)
    handle = harness.client.get_workflow_handle(outcome.workflow_id)
    await harness.wait_for_status(handle, "stuck")

    await handle.cancel()
    await harness.wait_for_event(handle, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
    await SagaClient(harness.client).retry(handle.id, by="mia", because="the hotel is open again")

    await rescued(harness, trip.id)
    assert uncompensated_bookings(harness, trip.id) == []


async def test_running_completed_and_compensated_sagas_need_no_rescue(harness: WorkerHarness) -> None:
    """A rescue is refused, or starts nothing."""
    running = await harness.start_trip("hotel", "wait")
    with pytest.raises(VerbRefusedError, match="still running"):
        await rescue(harness, running.id)
    await running.signal("go")
    assert (await harness.wait_for_ending(running)).closed == "COMPLETED"
    with pytest.raises(VerbRefusedError, match="completed"):
        await rescue(harness, running.id)
    failed = await harness.start_trip("hotel", "fail")
    assert (await harness.wait_for_ending(failed)) == Ending("FAILED", "compensated", "Planned")
    assert (await rescue(harness, failed.id)).decision is RescueDecision.NOTHING_PENDING
    with pytest.raises(SagaNotFoundError, match="saga 'nobody' was not found"):
        await rescue(harness, "nobody")
    assert harness.participants.started == ["book-hotel", "book-hotel", "cancel-hotel"]


async def test_child_is_rescued_alone_while_its_parent_is_stuck(harness: WorkerHarness) -> None:
    """The operator completes the child in the parent afterwards, and no compensation runs twice."""
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "wait")))
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await child.terminate("x")
    await harness.wait_for_status(trip, "stuck")

    assert (await rescued(harness, child.id)).pending == ("book-flight",)
    await SagaClient(harness.client).complete(trip.id, "leg", by="mia", because="the child was rescued")

    assert (await harness.wait_for_ending(trip)).saga == "settled"
    assert harness.participants.keys["cancel-flight"] == [f"{trip.id}/leg:book-flight"]


async def test_completed_child_is_not_rescued(harness: WorkerHarness) -> None:
    """The parent runs the compensations of a completed child."""
    trip = await harness.start_trip(TripPlan(do=("flight",)), "wait")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED)

    with pytest.raises(VerbRefusedError, match="completed"):
        await rescue(harness, f"{trip.id}/leg")


async def test_child_of_a_closed_parent_is_rescued_with_its_root(harness: WorkerHarness) -> None:
    """A rescue of the child alone would be unknown to the rescue of the root."""
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "wait")))
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await child.terminate("x")
    await harness.wait_for_status(trip, "stuck")
    await trip.terminate("x")

    with pytest.raises(VerbRefusedError, match=f"its root '{trip.id}'"):
        await rescue(harness, child.id)


async def test_rescued_child_is_not_compensated_again_with_its_parent(harness: WorkerHarness) -> None:
    """The rescue of the parent knows the rescue of the child."""
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "wait")))
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    latch = harness.participants.block("cancel-hotel")
    await child.terminate("x")
    await latch.entered.wait()
    await rescued(harness, child.id)
    await trip.terminate("x")
    latch.released.set()

    assert (await rescued(harness, trip.id)).pending == ("book-hotel",)
    assert Counter(harness.participants.started)["cancel-flight"] == 1


async def test_terminated_rescue_is_continued(harness: WorkerHarness) -> None:
    """A repeated rescue continues the rescue workflow where it was interrupted."""
    harness.participants.when("cancel-hotel", rejects("too_late"))
    trip = await harness.start_trip("hotel", "flight", "wait")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=2)
    await trip.terminate("x")
    first = await rescue(harness, trip.id)
    handle = harness.client.get_workflow_handle(first.workflow_id)
    await harness.wait_for_status(handle, "stuck")
    await handle.terminate("x")

    again = await rescue(harness, trip.id)
    assert again.run_id != first.run_id
    await harness.wait_for_status(harness.client.get_workflow_handle(again.workflow_id), "stuck")
    await SagaClient(harness.client).retry(again.workflow_id, by="mia", because="the hotel is open again")
    await rescued(harness, trip.id)

    assert uncompensated_bookings(harness, trip.id) == []
    assert Counter(harness.participants.started) == Counter(
        ["book-hotel", "book-flight", "cancel-flight", "cancel-hotel", "cancel-hotel"]
    )


async def test_saga_that_continued_as_new_is_rescued(harness: WorkerHarness) -> None:
    """The pending compensations of earlier runs are part of the continued state, and keep their order."""
    trip = await harness.start_trip("hotel", TripPlan(do=("flight",)), "again", "car", "wait")
    last = await harness.wait_for_next_run(trip)
    await harness.wait_for_event(last, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await last.terminate("x")

    events = [event async for event in last.fetch_history_events()]

    outcome = await rescued(harness, trip.id)

    assert outcome.pending == ("book-car", "leg:book-flight", "book-hotel")
    # The last run has everything, as the server may no longer keep the first run.
    last_run = rebuild_saga(read_history(trip.id, events, harness.client.data_converter)).ledger
    assert tuple(compensation.address for compensation in last_run.pending()) == outcome.pending
    assert uncompensated_bookings(harness, trip.id) == []
    assert [booking and booking.number for booking in harness.participants.results] == ["book-hotel-1"]


LEG = TripPlan(do=("flight", "pay", "look"), is_pivot=True)


async def test_saga_continues_after_a_completed_pivot_child(harness: WorkerHarness) -> None:
    """The child completed after the termination of the parent; participants repeat their answers by key."""
    latch = harness.participants.block("look-around")
    trip = await harness.start_trip("hotel", LEG, "ticket")
    await latch.entered.wait()
    await trip.cancel()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
    await trip.terminate("x")
    latch.released.set()
    assert (await harness.wait_for_ending(harness.child_of(trip, "leg"))).closed == "COMPLETED"

    assert (await rescued(harness, trip.id)).decision is RescueDecision.CONTINUING

    assert harness.participants.started[-1] == "send-ticket"
    assert not [name for name in harness.participants.started if name.startswith("cancel-")]
    assert all(len(set(keys)) == 1 for keys in harness.participants.keys.values())


async def test_saga_continues_after_a_pivot_child_interrupted_past_its_pivot(harness: WorkerHarness) -> None:
    """Parent and child were terminated, and nothing before the pivot of the child is compensated."""
    latch = harness.participants.block("look-around")
    trip = await harness.start_trip("hotel", LEG, "ticket")
    await latch.entered.wait()
    child = harness.child_of(trip, "leg")
    await trip.terminate("x")
    await child.terminate("x")
    latch.released.set()

    assert (await rescued(harness, trip.id)).decision is RescueDecision.CONTINUING

    assert harness.participants.started[-1] == "send-ticket"
    assert not [name for name in harness.participants.started if name.startswith("cancel-")]


@pytest.mark.parametrize("do", [("wait", "ticket"), ("again", "wait", "ticket")], ids=str)
async def test_manually_completed_pivot_child_is_not_started_again(
    harness: WorkerHarness, do: tuple[str, ...]
) -> None:
    """The continued saga must not repeat a payment that was made manually."""
    latch = harness.participants.block("book-flight")
    trip = await harness.start_trip("hotel", LEG, *do)
    await latch.entered.wait()
    await harness.child_of(trip, "leg").terminate("before the payment")
    latch.released.set()
    await harness.wait_for_status(trip, "stuck")
    client = SagaClient(harness.client)
    await client.complete(trip.id, "leg", by="mia", because="paid by bank transfer", result=["pay"])
    latest = harness.client.get_workflow_handle(trip.id)
    if "again" in do:
        latest = await harness.wait_for_next_run(trip)
        await harness.wait_for_event(latest, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED)
    await latest.terminate("x")

    assert (await rescue(harness, trip.id)).decision is RescueDecision.CONTINUING
    await latest.signal("go")

    assert (await harness.wait_for_ending(latest)).saga == "settled"
    assert harness.participants.started == ["book-hotel", "book-flight", "send-ticket"]


async def test_saga_is_compensated_with_a_pivot_child_interrupted_before_its_pivot(
    harness: WorkerHarness,
) -> None:
    """The pivot has not happened, so the steps of parent and child are compensated."""
    latch = harness.participants.block("book-flight")
    trip = await harness.start_trip("hotel", LEG, "ticket")
    await latch.entered.wait()
    child = harness.child_of(trip, "leg")
    await trip.terminate("x")
    await child.terminate("x")
    latch.released.set()

    assert (await rescued(harness, trip.id)).pending == ("leg:book-flight", "book-hotel")

    assert uncompensated_bookings(harness, trip.id) == []
    assert "pay" not in harness.participants.started


async def test_saga_is_compensated_after_a_compensated_pivot_child(harness: WorkerHarness) -> None:
    """Temporal cancelled the child at the end of its parent, and the child compensated."""
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "sleep", "pay"), is_pivot=True), "ticket")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await harness.wait_for_event(harness.child_of(trip, "leg"), EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await trip.terminate("x")

    assert (await rescued(harness, trip.id)).pending == ("book-hotel",)

    assert uncompensated_bookings(harness, trip.id) == []


async def test_cancel_after_a_rescue_does_not_compensate_a_done_pivot(harness: WorkerHarness) -> None:
    """P6: the repeated pivot is withdrawn before a worker receives it, but the pivot was done before."""
    await harness.start_worker("unpolled-queue", workflows=False)
    pay = harness.participants.block("pay")
    trip = await harness.start_trip("hotel", "pay-on-unpolled-queue", "wait")
    await pay.entered.wait()
    await trip.terminate("x")
    pay.released.set()
    await harness.stop_workers()
    outcome = await rescue(harness, trip.id)
    assert outcome.decision is RescueDecision.CONTINUING
    again = harness.client.get_workflow_handle(trip.id, run_id=outcome.run_id)
    await harness.start_worker()
    await harness.wait_for_event(again, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, nth=2)

    await again.cancel()
    await harness.wait_for_event(again, EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED)
    await harness.start_worker("unpolled-queue", workflows=False)
    await again.signal("go")

    assert (await harness.wait_for_ending(again)).closed == "COMPLETED"
    assert "cancel-hotel" not in harness.participants.started


async def test_rescue_is_stuck_with_a_child_with_unknown_compensations(harness: WorkerHarness) -> None:
    """The rescue runs all other compensations, and waits for an operator."""
    harness.participants.when("cancel-hotel", rejects("too_late"))
    trip = await harness.start_trip("hotel", "child-without-saga")
    await harness.wait_for_status(trip, "stuck")
    await trip.terminate("x")
    client = SagaClient(harness.client)

    outcome = await rescue(harness, trip.id)
    stuck = harness.client.get_workflow_handle(outcome.workflow_id)
    harness.workflow_ids.append(stuck.id)
    await harness.wait_for_status(stuck, "stuck")

    assert (outcome.pending, outcome.unresolved_children) == (("book-hotel",), ("without-saga",))
    assert Counter(harness.participants.started)["cancel-hotel"] == 2
    assert (await client.preview(trip.id)).unresolved_children == ("without-saga",)
    await client.complete(stuck.id, "without-saga", by="mia", because="the car was given back")
    await settled(harness, stuck)
    assert (await client.preview(trip.id)).unresolved_children == ()
    assert await rescue(harness, trip.id) == outcome.model_copy(update={"is_new": False})


async def test_rescue_with_only_unknown_compensations_waits_for_an_operator(harness: WorkerHarness) -> None:
    """No other compensation is pending, but the child must not be forgotten."""
    trip = await harness.start_trip("child-without-saga")
    await harness.wait_for_status(trip, "stuck")
    await trip.terminate("x")

    outcome = await rescue(harness, trip.id)
    stuck = harness.client.get_workflow_handle(outcome.workflow_id)
    harness.workflow_ids.append(stuck.id)
    await harness.wait_for_status(stuck, "stuck")

    assert outcome.sentence == (
        f"{trip.id}: {stuck.id} waits for an operator; "
        "the compensations of these children are unknown: without-saga"
    )
    await SagaClient(harness.client).skip(stuck.id, "without-saga", by="mia", because="no car was booked")
    await settled(harness, stuck)


async def test_saga_with_a_slash_in_its_id_is_not_a_child(harness: WorkerHarness) -> None:
    """The history, and not the id, says whether a workflow is a child."""
    root_id = f"tenant/{harness.task_queue}"
    plan = TripPlan(do=("hotel", TripPlan(do=("flight",)), "wait"))

    async def start() -> Handle:
        await harness.client.start_workflow(TripSaga.run, plan, id=root_id, task_queue=harness.task_queue)
        handle = harness.client.get_workflow_handle(root_id)
        await harness.wait_for_event(handle, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED)
        return handle

    trip = await start()
    await trip.terminate("x")
    with pytest.raises(VerbRefusedError, match=f"its root '{root_id}'"):
        await rescue(harness, f"{root_id}/leg")
    assert (await rescued(harness, root_id)).pending == ("leg:book-flight", "book-hotel")
    assert uncompensated_bookings(harness, root_id) == []

    uninterrupted = await start()
    await uninterrupted.signal("go")
    assert (await harness.wait_for_ending(uninterrupted)).closed == "COMPLETED"
    assert (await SagaClient(harness.client).preview(root_id)).has_completed


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


async def large_trip(harness: WorkerHarness) -> Handle:
    """Starts and terminates a trip with more pending compensations than one message can have."""
    trip = await harness.start_trip(*LARGE)
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=len(LARGE) - 1)
    await trip.terminate("x")
    return trip


async def rescue_through(harness: WorkerHarness, connection: BrokenConnection, trip: Handle) -> None:
    """Rescues a trip on another connection, with a rescue workflow that skips time."""
    config = TimeSkipper(harness.client).client.config()
    config["interceptors"] = [*config["interceptors"], connection]
    await SagaClient(Client(**config)).rescue(trip.id, by="mia", because="x")


async def test_large_pending_compensations_are_sent_in_chunks(harness: WorkerHarness) -> None:
    """A repeated rescue sends no chunk again."""
    trip = await large_trip(harness)

    outcome = await rescued(harness, trip.id)

    assert len(outcome.pending) == len(LARGE) - 1
    assert uncompensated_bookings(harness, trip.id) == []
    assert await rescue(harness, trip.id) == outcome.model_copy(update={"is_new": False})


async def test_missing_chunks_are_reported_and_sent_by_a_repeated_rescue(harness: WorkerHarness) -> None:
    """No compensation runs before all chunks have arrived."""
    trip = await large_trip(harness)
    with pytest.raises(ConnectionError):
        await rescue_through(harness, BrokenConnection(3, ConnectionError("interrupted by the test")), trip)
    waiting = harness.client.get_workflow_handle(f"{trip.id}~rescue")
    await harness.wait_for_status(waiting, "stuck")
    assert "chunks of the pending compensations are missing" in await harness.current_details(waiting)
    assert not [name for name in harness.participants.started if name.startswith("cancel-")]
    with pytest.raises(
        VerbRefusedError, match="nothing to retry: chunks of the pending compensations are missing"
    ):
        await SagaClient(harness.client).retry(waiting.id, by="mia", because="x")

    outcome = await rescued(harness, trip.id)

    assert (outcome.is_new, len(outcome.pending)) == (False, len(LARGE) - 1)
    assert uncompensated_bookings(harness, trip.id) == []
    signals = [
        event.workflow_execution_signaled_event_attributes.input.payloads[0].data
        async for event in waiting.fetch_history_events()
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
    ]
    assert len(signals) == len(set(signals)) == json.loads(signals[0])["count"]


async def test_foreign_chunks_are_ignored(harness: WorkerHarness) -> None:
    """P7: any client can send signals, and foreign signals lose no compensation."""
    trip = await large_trip(harness)
    with pytest.raises(ConnectionError):
        await rescue_through(harness, BrokenConnection(3, ConnectionError("interrupted by the test")), trip)
    waiting = harness.client.get_workflow_handle(f"{trip.id}~rescue")
    empty = {"digest": "x", "index": 0, "count": 1, "text": "{}"}
    for content in ([], [None], [{"digest": "x"}], [empty], [empty, empty]):
        await waiting.signal("saga-rescue-chunk", args=content)

    assert len((await rescued(harness, trip.id)).pending) == len(LARGE) - 1
    assert uncompensated_bookings(harness, trip.id) == []


async def test_size_limit_of_the_server_is_explained(harness: WorkerHarness) -> None:
    """An operator can raise the limit and repeat the rescue."""
    trip = await large_trip(harness)
    refusal = RPCError("Blob data size exceeds limit", RPCStatusCode.INVALID_ARGUMENT, b"")

    with pytest.raises(VerbRefusedError, match=r"exceeds limit\); raise its size limits, and repeat"):
        await rescue_through(harness, BrokenConnection(1, refusal), trip)

    assert len((await rescued(harness, trip.id)).pending) == len(LARGE) - 1
