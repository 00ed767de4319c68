"""Branches at the same time: one order of start, one failure that counts, and nothing that outlives them."""

import asyncio
from inspect import getcoroutinestate

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import EventType

from sagas import CompensationOrder, DefinitionError, RejectedError, Saga

from ..fixtures.trip_participants import ActivityLatch, fails, rejects
from ..fixtures.trip_plan import TripPlan
from ..fixtures.trip_saga import STEPS
from ..fixtures.worker_harness import WORKFLOWS as USUAL
from ..fixtures.worker_harness import Ending, WorkerHarness

SCHEDULED = EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED


# In the sandbox, this file would be read again for each worker.
@workflow.defn(sandboxed=False)
class NotingSaga:
    """Passes over the refusals of its branches, and says what it has learnt of them."""

    @workflow.run
    async def run(self, plan: TripPlan) -> list[str]:
        async with Saga() as saga:
            try:
                await saga.parallel(*(saga.step(STEPS[word], plan) for word in ("car", "flight", "look")))
            except RejectedError as error:
                return [str(error), *error.__notes__]
        return []


@workflow.defn(sandboxed=False)
class TaskSaga:
    """Makes a task of one of its branches, as for `asyncio.gather`."""

    @workflow.run
    async def run(self, plan: TripPlan) -> list[str]:
        async with Saga() as saga:
            flight = saga.step(STEPS["flight"], plan)
            task = asyncio.create_task(asyncio.sleep(0))
            try:
                await saga.parallel(flight, task)  # type: ignore[call-overload] # who has no type checker
            except DefinitionError as error:
                await task
                return [str(error), getcoroutinestate(flight)]
        return []


WORKFLOWS = [*USUAL, NotingSaga, TaskSaga]


async def test_branches_begin_in_their_order_and_all_end_before_the_saga_goes_on(
    harness: WorkerHarness,
) -> None:
    """They share one workflow task, and what follows waits for the last of them."""
    hotel = harness.participants.block("book-hotel")
    trip = await harness.start_trip("hotel|flight", "look")
    await hotel.entered.wait()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    assert "look-around" not in harness.participants.started

    hotel.released.set()

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started[-1] == "look-around"
    scheduled = [event async for event in trip.fetch_history_events() if event.event_type == SCHEDULED]
    names = [e.activity_task_scheduled_event_attributes.activity_type.name for e in scheduled]
    tasks = [e.activity_task_scheduled_event_attributes.workflow_task_completed_event_id for e in scheduled]
    assert names == ["book-hotel", "book-flight", "look-around"]
    assert tasks[0] == tasks[1] < tasks[2]


async def test_the_first_failure_says_what_else_has_failed(harness: WorkerHarness) -> None:
    """Whoever mends the one should know of the other; the first is the first in time."""
    latch = ActivityLatch()

    async def refuse_later() -> object:
        await latch.block()
        return await rejects("no_car")()

    harness.participants.when("book-car", refuse_later)
    harness.participants.when("book-flight", rejects("no_flight"))
    trip = await harness.client.start_workflow(
        NotingSaga.run, TripPlan(do=()), id=f"noting-{harness.task_queue}", task_queue=harness.task_queue
    )
    harness.workflow_ids.append(trip.id)
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED)
    latch.released.set()

    assert await trip.result() == [
        "no_flight (seat): no_flight, sorry",
        "and another branch failed: RejectedError: no_car (seat): no_car, sorry",
    ]


async def test_a_task_is_no_branch(harness: WorkerHarness) -> None:
    """Refused in a sentence, before any branch has begun; and none is left that nobody awaits."""
    trip = await harness.client.start_workflow(
        TaskSaga.run, TripPlan(do=()), id=f"task-{harness.task_queue}", task_queue=harness.task_queue
    )
    harness.workflow_ids.append(trip.id)

    refusal, state = await trip.result()

    assert "not a Task" in refusal
    assert state == "CORO_CLOSED"
    assert harness.participants.started == []


async def test_a_failing_branch_lets_the_others_finish_before_anything_is_compensated(
    harness: WorkerHarness,
) -> None:
    """A compensation does not overtake an action; the first failure is the saga's."""
    car = harness.participants.block("book-car")
    harness.participants.when("book-flight", rejects())
    trip = await harness.start_trip("hotel", "car,look|flight")
    await car.entered.wait()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED)
    assert "cancel-hotel" not in harness.participants.started

    car.released.set()

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "sold_out")
    assert harness.participants.log[-5:] == [
        "-look-around",
        "+cancel-car",
        "-cancel-car",
        "+cancel-hotel",
        "-cancel-hotel",
    ]


async def test_a_failing_branch_may_cancel_the_others(harness: WorkerHarness) -> None:
    """Branches are cancelled, start no further step, and steps that may have happened are compensated."""
    harness.participants.when("book-car", ActivityLatch().block_with_heartbeats)
    harness.participants.when("book-flight", fails(final=True))
    trip = await harness.start_trip("hotel", "car,look/flight")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "unknown_outcome")

    assert "look-around" not in harness.participants.started
    assert harness.participants.started[-3:] == ["cancel-flight", "cancel-car", "cancel-hotel"]


async def test_the_failures_of_two_branches_are_the_first_of_them(harness: WorkerHarness) -> None:
    """The other is not lost, either: what it has left is made up for."""
    hotel = ActivityLatch()

    async def breaks_later() -> object:
        await hotel.block()
        return await fails(final=True)()

    harness.participants.when("book-flight", rejects("no_seat"))
    harness.participants.when("book-hotel", breaks_later)
    trip = await harness.start_trip("look", "hotel|flight")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED)
    hotel.released.set()

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "no_seat")
    assert harness.participants.started[-1] == "cancel-hotel"


async def test_a_cancel_reaches_every_branch(harness: WorkerHarness) -> None:
    """P6: also one that waits for nothing but time, and one that hears no cancel."""
    car, flight = harness.participants.block("book-car"), harness.participants.block("book-flight")
    trip = await harness.start_trip("hotel", "car,look|sleep|flight,look")
    await car.entered.wait()
    await flight.entered.wait()

    await trip.cancel()
    car.released.set()
    flight.released.set()

    assert await harness.wait_for_ending(trip) == Ending("CANCELED", "compensated")
    assert "look-around" not in harness.participants.started
    assert harness.participants.started[-3:] == ["cancel-flight", "cancel-car", "cancel-hotel"]


async def test_children_run_in_parallel(harness: WorkerHarness) -> None:
    """Each compensates by itself when it fails; the one that closed is made up for by its parent."""
    legs = (TripPlan(do=("hotel",), name="first"), TripPlan(do=("flight", "fail"), name="second"))

    trip = await harness.start_trip("car", "first|second", legs=legs)

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "Planned")
    assert sorted(harness.participants.started[1:4]) == ["book-flight", "book-hotel", "cancel-flight"]
    assert harness.participants.started[4:] == ["cancel-hotel", "cancel-car"]
    assert (await harness.wait_for_ending(harness.child_of(trip, "second"))).saga == "compensated"


async def test_a_child_in_a_branch_that_is_cancelled_compensates(harness: WorkerHarness) -> None:
    """The parent waits until it has."""
    legs = (TripPlan(do=("hotel", "sleep"), name="first"),)
    trip = await harness.start_trip("car", "first/wait,fail", legs=legs)
    child = harness.child_of(trip, "first")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await harness.wait_for_event(child, EventType.EVENT_TYPE_TIMER_STARTED)

    await trip.signal("go")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "Planned")
    assert (await harness.wait_for_ending(child)).closed == "CANCELED"
    assert harness.participants.started == ["book-car", "book-hotel", "cancel-hotel", "cancel-car"]


async def test_branches_in_branches(harness: WorkerHarness) -> None:
    """A branch that is cancelled cancels its own."""
    harness.participants.when("book-flight", rejects())
    trip = await harness.start_trip("hotel", "sleep/sleep,look/flight")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "sold_out")
    assert "look-around" not in harness.participants.started


@pytest.mark.parametrize("do", ["pay|hotel", "hotel|pay", "look,pay|hotel", "hotel+pay"])
async def test_the_pivot_is_passed_alone(harness: WorkerHarness, do: str) -> None:
    """Nothing may fail beside it: the saga is badly written, and makes up for what it has done."""
    trip = await harness.start_trip("car", do)

    ending = await harness.wait_for_ending(trip)

    assert (ending.closed, ending.code) == ("FAILED", "DefinitionError")
    assert "pay" not in harness.participants.started
    assert harness.participants.started[-1] == "cancel-car"


async def test_compensations_run_all_at_once_if_the_saga_says_so(harness: WorkerHarness) -> None:
    """The order `parallel`: none waits for another, and one that fails holds up none."""
    hotel, flight = harness.participants.block("cancel-hotel"), harness.participants.block("cancel-flight")
    trip = await harness.start_trip("hotel", "flight", "fail", order=CompensationOrder.PARALLEL)
    await hotel.entered.wait()
    await flight.entered.wait()
    hotel.released.set()
    flight.released.set()

    assert (await harness.wait_for_ending(trip)).saga == "compensated"


async def test_a_closed_child_is_made_up_for_in_its_own_order(harness: WorkerHarness) -> None:
    """Its compensations run all at once, in the place that the child has among its parent's steps."""
    hotel, flight = harness.participants.block("cancel-hotel"), harness.participants.block("cancel-flight")
    leg = TripPlan(do=("hotel", "flight"), order=CompensationOrder.PARALLEL)
    trip = await harness.start_trip("look", leg, "car", "fail")
    await hotel.entered.wait()
    await flight.entered.wait()
    assert harness.participants.started[-3] == "cancel-car"
    hotel.released.set()
    flight.released.set()

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
