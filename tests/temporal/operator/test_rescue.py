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
from tests.sampling import Sampler
from tests.waiting import until

from ..fixtures.trip_participants import ActivityLatch, rejects
from ..fixtures.trip_plan import TripPlan
from ..fixtures.trip_rescues import requested_operations, rescue, rescued, uncompensated_bookings
from ..fixtures.trip_saga import TripSaga
from ..fixtures.worker_harness import PATIENCE, Ending, Handle, WorkerHarness

pytestmark = pytest.mark.parametrize("harness", [1000], indirect=True, ids=["cached"])


@workflow.defn(name="CutShortTrip")
class CutShortTrip(TripSaga):
    """A trip that does not see that it has a time limit, which a saga would refuse."""

    @workflow.run
    async def run(self, plan: TripPlan) -> list[str]:
        object.__setattr__(workflow.info(), "run_timeout", None)
        return await super().run(plan)


async def rescued_by_hand(harness: WorkerHarness, handle: Handle) -> None:
    """Waits for the end of a rescue in which a person has settled something."""
    ending = await harness.wait_for_ending(handle)
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


TERMINATIONS = 16
"""The size of the sample of a shape."""
SHAPES: dict[str, tuple[str | TripPlan, ...]] = {
    "steps": ("hotel", "flight", "car", "fail"),
    "parallel": ("hotel+flight+car", "hotel", "fail"),
    "child": ("flight", TripPlan(do=("hotel", "car")), "look", "fail"),
    "failing-child": ("flight", TripPlan(do=("hotel", "car", "fail"))),
    "grandchild": ("hotel", TripPlan(do=("car", TripPlan(do=("hotel", "flight"), name="night"))), "fail"),
    "pivot": ("hotel", TripPlan(do=("flight",)), "pay", "car", "ticket"),
}


async def test_operator_sees_what_has_become_of_a_saga_that_was_cut_off(harness: WorkerHarness) -> None:
    """That it has to be rescued, how far its rescue is, and that nothing is left to do."""
    harness.participants.when("cancel-hotel", rejects("too_late"))
    trip = await harness.start_trip("hotel", "flight", "wait")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=2)
    await trip.terminate(reason="x")
    # A workflow that is no saga may have an id with anything in it.
    other = await harness.client.start_workflow(
        "Nobodys", id=f"it's {trip.id} \\", task_queue=harness.task_queue
    )
    await other.terminate()
    client = SagaClient(harness.client)

    async def listed() -> list[tuple[str, str]]:
        here = f"TaskQueue = '{harness.task_queue}'"
        return [(each.id, each.rescue) for each in await client.list(status="terminated", query=here)]

    async def will_be_listed(*wanted: tuple[str, str]) -> None:
        async def is_up_to_date() -> bool:
            return sorted(await listed()) == sorted([(other.id, ""), *wanted])

        # The server's list follows a moment later, and nobody is told when.
        await until(is_up_to_date)

    await will_be_listed((trip.id, ""))
    with pytest.raises(VerbRefusedError, match=r"it has ended, and is terminated: rescue it$"):
        await client.hold(trip.id, by="mia", because="x")
    stuck = harness.client.get_workflow_handle((await rescue(harness, trip.id)).workflow_id)
    await harness.wait_for_status(stuck, "stuck")
    await will_be_listed((trip.id, "stuck"))
    preview = await client.preview(trip.id)
    assert preview.sentence == "1 compensation has still to run"
    assert [each.address for each in preview.compensations] == ["book-hotel"]
    story = await client.show(stuck.id)
    assert story == await client.show(trip.id)
    assert "waits: for a person\n" in render_timeline(story)
    assert story.steps[0].compensations[0].reason == "too_late, sorry"
    await client.skip(stuck.id, "book-hotel", by="mia", because="a credit note was sent")
    await rescued_by_hand(harness, stuck)
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


async def test_saga_that_goes_on_is_not_listed_as_cut_off(harness: WorkerHarness) -> None:
    """Its run was terminated, the saga was not."""
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


@pytest.mark.parametrize("do", SHAPES.values(), ids=SHAPES.keys())
async def test_saga_that_is_terminated_is_rescued(
    harness: WorkerHarness, do: tuple[str | TripPlan, ...]
) -> None:
    """After three events of the saga: early, in the middle, and shortly before the end."""
    length = await length_of_history(harness, do)

    decisions = await terminate_and_rescue(harness, do, [length // 4, length // 2, length - 6])

    assert decisions[RescueDecision.COMPENSATING] > 0
    assert bool(decisions[RescueDecision.GOING_ON]) is ("pay" in do)


@pytest.mark.sweep
@pytest.mark.parametrize("do", SHAPES.values(), ids=SHAPES.keys())
async def test_saga_that_is_terminated_after_any_event_is_rescued(
    harness: WorkerHarness, do: tuple[str | TripPlan, ...], sampler: Sampler, report: list[str]
) -> None:
    """The sweep terminates one saga after each event of an undisturbed saga."""
    length = await length_of_history(harness, do)
    places = list(range(1, length))
    chosen = sampler.choose(f"terminations {do}", places, TERMINATIONS)

    decisions = await terminate_and_rescue(harness, do, chosen)

    if sampler.is_exhaustive:
        assert decisions[RescueDecision.COMPENSATING] > 0
        assert bool(decisions[RescueDecision.GOING_ON]) is ("pay" in do)
    assert decisions[RescueDecision.GOING_ON] == 0 or "pay" in do
    report.append(f"terminations of {do}: after {len(chosen)} of {len(places)} events; {dict(decisions)}")


async def length_of_history(harness: WorkerHarness, do: tuple[str | TripPlan, ...]) -> int:
    """The number of events of an undisturbed saga."""
    trip = await harness.start_trip(*do)
    await harness.wait_for_ending(trip)
    return len((await trip.fetch_history()).events)


async def terminate_and_rescue(
    harness: WorkerHarness, do: tuple[str | TripPlan, ...], places: list[int]
) -> Counter[str]:
    """Terminates one saga after each of these events, rescues each saga twice, and counts the decisions.

    Every effect is compensated, or the saga continues past the pivot; the second rescue changes nothing.
    """

    async def run(number: int) -> str:
        trip = await harness.start_trip(*do)
        if not await cut_after(trip, number):
            return "ended before"
        outcome = await rescued(harness, trip.id)
        calls = requested_operations(harness, trip.id, fenced=True)
        if outcome.course is RescueDecision.GOING_ON:
            assert ("send-ticket", f"{trip.id}:send-ticket") in calls
            assert not [name for name, _ in calls if name.startswith("cancel-")]
            with pytest.raises(VerbRefusedError, match="completed"):
                await rescue(harness, trip.id)
        else:
            assert uncompensated_bookings(harness, trip.id, fenced=True) == []
            again = await rescue(harness, trip.id)
            assert again == outcome.model_copy(update={"is_new": not outcome.workflow_id})
        assert requested_operations(harness, trip.id, fenced=True) == calls
        return outcome.course.value

    return Counter(await asyncio.gather(*(run(number) for number in places)))


@pytest.mark.parametrize(
    "do", [("hotel", "flight", "wait"), ("hotel", TripPlan(do=("flight", "wait")))], ids=str
)
async def test_saga_that_ran_into_a_timeout_is_rescued(
    harness: WorkerHarness, do: tuple[str | TripPlan, ...]
) -> None:
    """The server ended it for real, without a word."""
    await harness.stop_workers()
    harness.workflows = [CutShortTrip, TripSaga]
    await harness.start_worker()
    trip = await harness.client.start_workflow(
        CutShortTrip.run,
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


async def test_compensations_of_a_rescue_have_the_keys_and_results_of_the_saga(
    harness: WorkerHarness,
) -> None:
    """The participant cannot tell them from the saga's own; they come newest first."""
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "car")), "wait")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED)
    await trip.terminate("x")

    outcome = await rescued(harness, trip.id)

    assert outcome.owed == ("leg:book-car", "leg:book-flight", "book-hotel")
    assert harness.participants.started[3:] == ["cancel-car", "cancel-flight", "cancel-hotel"]
    for what in ("hotel", "flight", "car"):
        assert harness.participants.keys[f"cancel-{what}"] == harness.participants.keys[f"book-{what}"]
    assert [booking and booking.number for booking in harness.participants.results] == ["book-hotel-1"]


async def test_terminated_child_is_rescued_with_its_parent(harness: WorkerHarness) -> None:
    """Nobody told the parent what the child owes; the child's own history does."""
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

    assert set(outcome.owed) == {"leg/night:book-car", "leg:book-flight"}
    assert uncompensated_bookings(harness, trip.id) == []
    assert Counter(harness.participants.started)["cancel-hotel"] == 1


async def test_child_that_makes_up_for_its_steps_is_waited_for_with_a_limit(harness: WorkerHarness) -> None:
    """A second one who did that too would do it twice."""
    latch = harness.participants.block("cancel-flight")
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "wait")))
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await harness.wait_for_event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await trip.terminate("x")
    await latch.entered.wait()

    with pytest.raises(VerbRefusedError, match="leg' has not ended"):
        await rescue(harness, trip.id, patience=0.2)
    assert "cancel-hotel" not in harness.participants.started

    latch.released.set()
    outcome = await rescued(harness, trip.id)
    assert outcome.owed == ("book-hotel",)
    assert uncompensated_bookings(harness, trip.id) == []


async def test_child_that_is_stuck_is_not_waited_for(harness: WorkerHarness) -> None:
    """Only a person helps, who reads at once what to type."""
    harness.participants.when("cancel-flight", rejects("too_late"))
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "wait")))
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await harness.wait_for_event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await trip.terminate("x")
    await harness.wait_for_status(child, "stuck")

    async with asyncio.timeout(5):
        with pytest.raises(VerbRefusedError, match=f"its child '{child.id}' is stuck") as refused:
            await rescue(harness, trip.id, patience=600)
    assert f"`sagas retry {child.id}`" in str(refused.value)
    assert f"`sagas skip {child.id} book-flight`" in str(refused.value)
    assert f"`sagas complete {child.id} book-flight`" in str(refused.value)
    assert "cancel-hotel" not in harness.participants.started

    await harness.retry_stuck(child)
    outcome = await rescued(harness, trip.id)
    assert outcome.owed == ("book-hotel",)
    assert uncompensated_bookings(harness, trip.id) == []


async def test_child_that_gets_stuck_meanwhile_is_named_as_stuck(harness: WorkerHarness) -> None:
    """Who has waited for it reads what to type, too."""
    latch = ActivityLatch()
    harness.participants.when("cancel-flight", latch.block, rejects("too_late"))
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "flight", "wait")))
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await harness.wait_for_event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=2)
    await trip.terminate("x")
    await latch.entered.wait()

    asking = asyncio.create_task(rescue(harness, trip.id, patience=2))
    latch.released.set()
    await harness.wait_for_status(child, "stuck")
    with pytest.raises(VerbRefusedError, match=f"`sagas skip {child.id} book-flight`"):
        await asking
    await harness.retry_stuck(child)
    await rescued(harness, trip.id)


async def test_child_whose_code_fails_is_not_waited_for(harness: WorkerHarness) -> None:
    """It cannot hear of the end of its parent; once it is terminated, it is rescued with it."""
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "fail-after-block")))
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await harness.wait_for_event(child, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)
    await trip.terminate("x")

    async with asyncio.timeout(5):
        with pytest.raises(VerbRefusedError, match=rf"code of its child '{child.id}' fails \(.*or terminate"):
            await rescue(harness, trip.id, patience=600)
    await child.terminate("x")
    outcome = await rescued(harness, trip.id)
    assert outcome.owed == ("leg:book-flight", "book-hotel")
    harness.workflow_ids.remove(trip.id)  # what failed its tasks fails in replay


async def test_several_who_rescue_at_once_rescue_once(harness: WorkerHarness) -> None:
    """One of them starts it; the others find it."""
    trip = await harness.start_trip("hotel", "flight", "wait")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=2)
    await trip.terminate("x")

    operators = [rescue(harness, trip.id, by=f"o{n}") for n in range(5)]
    found = await asyncio.gather(*operators)
    await rescued(harness, trip.id)

    assert len({each.run_id for each in found}) == 1
    assert [each.is_new for each in found].count(True) == 1
    assert harness.participants.started == ["book-hotel", "book-flight", "cancel-flight", "cancel-hotel"]


async def test_several_who_have_a_saga_go_on_at_once_have_it_go_on_once(harness: WorkerHarness) -> None:
    """The server takes the first of them, and tells the others of it."""
    latch = harness.participants.block("pay")
    trip = await harness.start_trip("hotel", "pay", "ticket")
    await latch.entered.wait()
    await trip.terminate("x")

    found = await asyncio.gather(*(rescue(harness, trip.id) for _ in range(5)))
    latch.released.set()

    assert len({each.run_id for each in found}) == 1
    assert (await harness.wait_for_ending(harness.client.get_workflow_handle(trip.id))).closed == "COMPLETED"
    assert harness.participants.started == ["book-hotel", "pay", "pay", "send-ticket"]
    assert len(set(harness.participants.keys["pay"])) == 1


async def test_rescue_that_is_stuck_says_so_and_is_retried(harness: WorkerHarness) -> None:
    """It is a saga like any other in that."""
    harness.participants.when("cancel-hotel", rejects("too_late"))
    trip = await harness.start_trip("hotel", "wait")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await trip.terminate("x")
    client = SagaClient(harness.client)

    outcome = await rescue(harness, trip.id)
    stuck = harness.client.get_workflow_handle(outcome.workflow_id)
    await harness.wait_for_status(stuck, "stuck")
    story = await client.show(trip.id)
    assert story.rescue is not None
    assert (story.status, story.rescue.status) == ("terminated", "stuck")

    await client.retry(outcome.workflow_id, by="mia", because="the hotel is open again")
    assert (await harness.wait_for_ending(stuck)).saga == "compensated"


async def test_cancel_does_not_stop_a_rescue(harness: WorkerHarness) -> None:
    """It only makes up for things, also while it is stuck."""
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


async def test_saga_that_can_help_itself_is_not_rescued(harness: WorkerHarness) -> None:
    """One that runs, one that has completed, one that has compensated, and none at all."""
    running = await harness.start_trip("hotel", "wait")
    with pytest.raises(VerbRefusedError, match="still running"):
        await rescue(harness, running.id)
    await running.signal("go")
    assert (await harness.wait_for_ending(running)).closed == "COMPLETED"
    with pytest.raises(VerbRefusedError, match="completed"):
        await rescue(harness, running.id)
    failed = await harness.start_trip("hotel", "fail")
    assert (await harness.wait_for_ending(failed)) == Ending("FAILED", "compensated", "ApplicationError")
    assert (await rescue(harness, failed.id)).course is RescueDecision.NOTHING_OWED
    with pytest.raises(SagaNotFoundError, match="no saga 'nobody'"):
        await rescue(harness, "nobody")
    assert harness.participants.started == ["book-hotel", "book-hotel", "cancel-hotel"]


async def test_child_is_rescued_alone_while_its_parent_waits_for_that(harness: WorkerHarness) -> None:
    """The parent is stuck with it until a person says that it is made up for; then nothing is done twice."""
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "wait")))
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await child.terminate("x")
    await harness.wait_for_status(trip, "stuck")

    assert (await rescued(harness, child.id)).owed == ("book-flight",)
    await SagaClient(harness.client).complete(trip.id, "leg", by="mia", because="it is rescued")

    assert (await harness.wait_for_ending(trip)).saga == "settled"
    assert harness.participants.keys["cancel-flight"] == [f"{trip.id}/leg:book-flight"]


async def test_child_that_has_completed_is_not_rescued(harness: WorkerHarness) -> None:
    """What it did is its parent's to make up for, if anybody has to."""
    trip = await harness.start_trip(TripPlan(do=("flight",)), "wait")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED)

    with pytest.raises(VerbRefusedError, match="completed"):
        await rescue(harness, f"{trip.id}/leg")


async def test_child_of_a_closed_parent_is_rescued_with_its_root(harness: WorkerHarness) -> None:
    """Alone, it would be forgotten when its root is rescued."""
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "wait")))
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await child.terminate("x")
    await harness.wait_for_status(trip, "stuck")
    await trip.terminate("x")

    with pytest.raises(VerbRefusedError, match=f"its root '{trip.id}'"):
        await rescue(harness, child.id)


async def test_child_that_was_rescued_is_not_made_up_for_again_with_its_parent(
    harness: WorkerHarness,
) -> None:
    """What its own rescue has done counts, also where nobody told the parent."""
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

    assert (await rescued(harness, trip.id)).owed == ("book-hotel",)
    assert Counter(harness.participants.started)["cancel-flight"] == 1


async def test_rescue_that_is_terminated_itself_goes_on(harness: WorkerHarness) -> None:
    """Who asks again has it go on from where it was."""
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
    await SagaClient(harness.client).retry(again.workflow_id, by="mia", because="they are open again")
    await rescued(harness, trip.id)

    assert uncompensated_bookings(harness, trip.id) == []
    assert Counter(harness.participants.started) == Counter(
        ["book-hotel", "book-flight", "cancel-flight", "cancel-hotel", "cancel-hotel"]
    )


async def test_saga_that_continued_as_new_is_rescued(harness: WorkerHarness) -> None:
    """What it owed in an earlier run has travelled along, and is made up for in its order."""
    trip = await harness.start_trip("hotel", TripPlan(do=("flight",)), "again", "car", "wait")
    last = await harness.wait_for_next_run(trip)
    await harness.wait_for_event(last, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await last.terminate("x")

    events = [event async for event in last.fetch_history_events()]

    outcome = await rescued(harness, trip.id)

    assert outcome.owed == ("book-car", "leg:book-flight", "book-hotel")
    # The server may no longer keep the first run; the last one knows it all.
    alone = rebuild_saga(read_history(trip.id, events, harness.client.data_converter)).ledger
    assert tuple(compensation.address for compensation in alone.pending()) == outcome.owed
    assert uncompensated_bookings(harness, trip.id) == []
    assert [booking and booking.number for booking in harness.participants.results] == ["book-hotel-1"]


LEG = TripPlan(do=("flight", "pay", "look"), is_pivot=True)


async def test_saga_whose_pivot_is_a_child_goes_on_when_that_is_done(harness: WorkerHarness) -> None:
    """The child ended after its parent was terminated; its steps are answered by their keys."""
    latch = harness.participants.block("look-around")
    trip = await harness.start_trip("hotel", LEG, "ticket")
    await latch.entered.wait()
    await trip.cancel()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
    await trip.terminate("x")
    latch.released.set()
    assert (await harness.wait_for_ending(harness.child_of(trip, "leg"))).closed == "COMPLETED"

    assert (await rescued(harness, trip.id)).course is RescueDecision.GOING_ON

    assert harness.participants.started[-1] == "send-ticket"
    assert not [name for name in harness.participants.started if name.startswith("cancel-")]
    assert all(len(set(keys)) == 1 for keys in harness.participants.keys.values())


async def test_saga_whose_pivot_is_a_child_that_was_cut_off_past_its_pivot_goes_on(
    harness: WorkerHarness,
) -> None:
    """Both were terminated; nothing crosses the pivot of the child backwards."""
    latch = harness.participants.block("look-around")
    trip = await harness.start_trip("hotel", LEG, "ticket")
    await latch.entered.wait()
    child = harness.child_of(trip, "leg")
    await trip.terminate("x")
    await child.terminate("x")
    latch.released.set()

    assert (await rescued(harness, trip.id)).course is RescueDecision.GOING_ON

    assert harness.participants.started[-1] == "send-ticket"
    assert not [name for name in harness.participants.started if name.startswith("cancel-")]


@pytest.mark.parametrize("do", [("wait", "ticket"), ("again", "wait", "ticket")], ids=str)
async def test_pivot_child_that_a_person_has_completed_is_not_run_again(
    harness: WorkerHarness, do: tuple[str, ...]
) -> None:
    """It was paid by hand: whoever goes on from there must not pay as well."""
    latch = harness.participants.block("book-flight")
    trip = await harness.start_trip("hotel", LEG, *do)
    await latch.entered.wait()
    await harness.child_of(trip, "leg").terminate("before it has paid")
    latch.released.set()
    await harness.wait_for_status(trip, "stuck")
    client = SagaClient(harness.client)
    await client.complete(trip.id, "leg", by="mia", because="it is paid", result=["pay"])
    latest = harness.client.get_workflow_handle(trip.id)
    if "again" in do:
        latest = await harness.wait_for_next_run(trip)
        await harness.wait_for_event(latest, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED)
    await latest.terminate("x")

    assert (await rescue(harness, trip.id)).course is RescueDecision.GOING_ON
    await latest.signal("go")

    assert (await harness.wait_for_ending(latest)).saga == "settled"
    assert harness.participants.started == ["book-hotel", "book-flight", "send-ticket"]


async def test_saga_whose_pivot_is_a_child_that_was_cut_off_before_its_pivot_goes_back(
    harness: WorkerHarness,
) -> None:
    """The pivot has not happened: what both have done is made up for."""
    latch = harness.participants.block("book-flight")
    trip = await harness.start_trip("hotel", LEG, "ticket")
    await latch.entered.wait()
    child = harness.child_of(trip, "leg")
    await trip.terminate("x")
    await child.terminate("x")
    latch.released.set()

    assert (await rescued(harness, trip.id)).owed == ("leg:book-flight", "book-hotel")

    assert uncompensated_bookings(harness, trip.id) == []
    assert "pay" not in harness.participants.started


async def test_saga_whose_pivot_child_turned_back_goes_back(harness: WorkerHarness) -> None:
    """The child heard of its parent's end as a cancel, and made up for its own steps."""
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "sleep", "pay"), is_pivot=True), "ticket")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await harness.wait_for_event(harness.child_of(trip, "leg"), EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await trip.terminate("x")

    assert (await rescued(harness, trip.id)).owed == ("book-hotel",)

    assert uncompensated_bookings(harness, trip.id) == []


async def test_a_cancel_after_a_rescue_does_not_cross_the_pivot_backwards(harness: WorkerHarness) -> None:
    """P6: the pivot is asked for again, and withdrawn before anybody has taken it; but it was done before."""
    await harness.start_worker("unpolled-queue", workflows=False)
    pay = harness.participants.block("pay")
    trip = await harness.start_trip("hotel", "pay-on-unpolled-queue", "wait")
    await pay.entered.wait()
    await trip.terminate("somebody did")
    pay.released.set()
    await harness.stop_workers()
    found = await rescue(harness, trip.id)
    assert found.course is RescueDecision.GOING_ON
    again = harness.client.get_workflow_handle(trip.id, run_id=found.run_id)
    await harness.start_worker()
    await harness.wait_for_event(again, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, nth=2)

    await again.cancel()
    await harness.wait_for_event(again, EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED)
    await harness.start_worker("unpolled-queue", workflows=False)
    await again.signal("go")

    assert (await harness.wait_for_ending(again)).closed == "COMPLETED"
    assert "cancel-hotel" not in harness.participants.started


async def test_rescue_is_stuck_with_a_child_of_which_it_cannot_account(harness: WorkerHarness) -> None:
    """It has made up for the rest meanwhile, and waits for a person."""
    harness.participants.when("cancel-hotel", rejects("too_late"))
    trip = await harness.start_trip("hotel", "child-without-saga")
    await harness.wait_for_status(trip, "stuck")
    await trip.terminate("x")
    client = SagaClient(harness.client)

    outcome = await rescue(harness, trip.id)
    stuck = harness.client.get_workflow_handle(outcome.workflow_id)
    harness.workflow_ids.append(stuck.id)
    await harness.wait_for_status(stuck, "stuck")

    assert (outcome.owed, outcome.unaccounted) == (("book-hotel",), ("without-saga",))
    assert Counter(harness.participants.started)["cancel-hotel"] == 2
    assert (await client.preview(trip.id)).unknown == ("without-saga",)
    await client.complete(stuck.id, "without-saga", by="mia", because="the car was given back")
    await rescued_by_hand(harness, stuck)
    assert (await client.preview(trip.id)).unknown == ()
    assert await rescue(harness, trip.id) == outcome.model_copy(update={"is_new": False})


async def test_rescue_that_only_has_a_child_to_account_for_waits_for_a_person(harness: WorkerHarness) -> None:
    """Nothing else is owed; the child must not be forgotten."""
    trip = await harness.start_trip("child-without-saga")
    await harness.wait_for_status(trip, "stuck")
    await trip.terminate("x")

    outcome = await rescue(harness, trip.id)
    stuck = harness.client.get_workflow_handle(outcome.workflow_id)
    harness.workflow_ids.append(stuck.id)
    await harness.wait_for_status(stuck, "stuck")

    assert outcome.sentence == (
        f"{trip.id}: {stuck.id} waits for a person; nobody can tell what these children owe: without-saga"
    )
    await SagaClient(harness.client).skip(stuck.id, "without-saga", by="mia", because="there never was a car")
    await rescued_by_hand(harness, stuck)


async def test_saga_with_a_slash_in_its_id_is_nobodys_child(harness: WorkerHarness) -> None:
    """Whose child a workflow is stands in its history, not in its id."""
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
    assert (await rescued(harness, root_id)).owed == ("leg:book-flight", "book-hotel")
    assert uncompensated_bookings(harness, root_id) == []

    whole = await start()
    await whole.signal("go")
    assert (await harness.wait_for_ending(whole)).closed == "COMPLETED"
    assert (await SagaClient(harness.client).preview(root_id)).has_completed


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


async def large_trip(harness: WorkerHarness) -> Handle:
    """A trip that owes more than a server takes at once, and was cut off."""
    trip = await harness.start_trip(*LARGE)
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=len(LARGE) - 1)
    await trip.terminate("x")
    return trip


async def rescue_through(harness: WorkerHarness, connection: CutOff, trip: Handle) -> None:
    """Rescues a trip on another connection, by a workflow that skips time."""
    config = TimeSkipper(harness.client).client.config()
    config["interceptors"] = [*config["interceptors"], connection]
    await SagaClient(Client(**config)).rescue(trip.id, by="mia", because="x")


async def test_saga_that_owes_more_than_a_message_takes_is_rescued(harness: WorkerHarness) -> None:
    """It is sent in parts, and asked twice nothing is sent again."""
    trip = await large_trip(harness)

    outcome = await rescued(harness, trip.id)

    assert len(outcome.owed) == len(LARGE) - 1
    assert uncompensated_bookings(harness, trip.id) == []
    assert await rescue(harness, trip.id) == outcome.model_copy(update={"is_new": False})


async def test_rescue_that_was_not_sent_everything_says_so_and_is_sent_the_rest(
    harness: WorkerHarness,
) -> None:
    """Nothing is compensated before all of it is there."""
    trip = await large_trip(harness)
    with pytest.raises(ConnectionError):
        await rescue_through(harness, CutOff(3, ConnectionError("cut off by the test")), trip)
    waiting = harness.client.get_workflow_handle(f"{trip.id}~rescue")
    await harness.wait_for_status(waiting, "stuck")
    assert "arrived here: ask for the rescue again" in await harness.current_details(waiting)
    assert not [name for name in harness.participants.started if name.startswith("cancel-")]
    with pytest.raises(VerbRefusedError, match="nothing to retry: not all of what is owed has arrived"):
        await SagaClient(harness.client).retry(waiting.id, by="mia", because="x")

    outcome = await rescued(harness, trip.id)

    assert (outcome.is_new, len(outcome.owed)) == (False, len(LARGE) - 1)
    assert uncompensated_bookings(harness, trip.id) == []
    signals = [
        event.workflow_execution_signaled_event_attributes.input.payloads[0].data
        async for event in waiting.fetch_history_events()
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
    ]
    assert len(signals) == len(set(signals)) == json.loads(signals[0])["count"]


async def test_what_a_rescue_is_sent_that_is_no_part_of_it_is_passed_over(harness: WorkerHarness) -> None:
    """P7: whoever may signal a workflow may send anything, and it still owes all that it did."""
    trip = await large_trip(harness)
    with pytest.raises(ConnectionError):
        await rescue_through(harness, CutOff(3, ConnectionError("cut off by the test")), trip)
    waiting = harness.client.get_workflow_handle(f"{trip.id}~rescue")
    debtless = {"of": "x", "number": 0, "count": 1, "text": "{}"}
    for content in ([], [None], [{"of": "x"}], [debtless], [debtless, debtless]):
        await waiting.signal("saga-rescue-part", args=content)

    assert len((await rescued(harness, trip.id)).owed) == len(LARGE) - 1
    assert uncompensated_bookings(harness, trip.id) == []


async def test_server_that_takes_less_than_usual_is_told_of_in_a_sentence(harness: WorkerHarness) -> None:
    """Who has set its limits can raise them, and ask again."""
    trip = await large_trip(harness)
    refusal = RPCError("Blob data size exceeds limit", RPCStatusCode.INVALID_ARGUMENT, b"")

    with pytest.raises(VerbRefusedError, match=r"exceeds limit\); raise its limits and ask again"):
        await rescue_through(harness, CutOff(1, refusal), trip)

    assert len((await rescued(harness, trip.id)).owed) == len(LARGE) - 1
