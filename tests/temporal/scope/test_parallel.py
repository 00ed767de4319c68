"""Parallel branches start in order, fail the saga with the first failure, and all end before the saga."""

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


# The sandbox would import this file again for each worker.
@workflow.defn(sandboxed=False)
class NotesSaga:
    """Catches the rejection of the branches, and returns the message and the notes."""

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
    """Passes an asyncio task as a branch, as to `asyncio.gather`."""

    @workflow.run
    async def run(self, plan: TripPlan) -> list[str]:
        async with Saga() as saga:
            flight = saga.step(STEPS["flight"], plan)
            task = asyncio.create_task(asyncio.sleep(0))
            try:
                await saga.parallel(flight, task)  # type: ignore[call-overload] # without a type checker
            except DefinitionError as error:
                await task
                return [str(error), getcoroutinestate(flight)]
        return []


WORKFLOWS = [*USUAL, NotesSaga, TaskSaga]


async def test_branches_start_in_order_and_all_end_before_the_next_step(harness: WorkerHarness) -> None:
    """The first steps share a workflow task, and the next step waits for the last branch."""
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


async def test_the_first_failure_names_the_other_failures(harness: WorkerHarness) -> None:
    """The first failure in time has a note about the failure of the other branch."""
    latch = ActivityLatch()

    async def reject_later() -> object:
        await latch.block()
        return await rejects("no_car")()

    harness.participants.when("book-car", reject_later)
    harness.participants.when("book-flight", rejects("no_flight"))
    trip = await harness.client.start_workflow(
        NotesSaga.run, TripPlan(do=()), id=f"noting-{harness.task_queue}", task_queue=harness.task_queue
    )
    harness.workflow_ids.append(trip.id)
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED)
    latch.released.set()

    assert await trip.result() == [
        "no_flight (seat): no_flight, sorry",
        "and another branch failed: RejectedError: no_car (seat): no_car, sorry",
    ]


async def test_a_task_is_no_branch(harness: WorkerHarness) -> None:
    """The saga refuses the task before any branch starts, and closes the other coroutine."""
    trip = await harness.client.start_workflow(
        TaskSaga.run, TripPlan(do=()), id=f"task-{harness.task_queue}", task_queue=harness.task_queue
    )
    harness.workflow_ids.append(trip.id)

    message, state = await trip.result()

    assert "not a Task" in message
    assert state == "CORO_CLOSED"
    assert harness.participants.started == []


async def test_a_failing_branch_lets_the_others_finish_before_compensations(harness: WorkerHarness) -> None:
    """A compensation does not overtake an action, and the saga fails with the first failure."""
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
    """Cancelled branches start no further step, and possibly done steps are compensated."""
    harness.participants.when("book-car", ActivityLatch().block_with_heartbeats)
    harness.participants.when("book-flight", fails(final=True))
    trip = await harness.start_trip("hotel", "car,look/flight")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "unknown_outcome")

    assert "look-around" not in harness.participants.started
    assert harness.participants.started[-3:] == ["cancel-flight", "cancel-car", "cancel-hotel"]


async def test_the_saga_fails_with_the_first_of_two_failures(harness: WorkerHarness) -> None:
    """The step of the second failed branch is compensated as well."""
    hotel = ActivityLatch()

    async def fail_later() -> object:
        await hotel.block()
        return await fails(final=True)()

    harness.participants.when("book-flight", rejects("no_seat"))
    harness.participants.when("book-hotel", fail_later)
    trip = await harness.start_trip("look", "hotel|flight")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED)
    hotel.released.set()

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "no_seat")
    assert harness.participants.started[-1] == "cancel-hotel"


async def test_a_cancel_reaches_every_branch(harness: WorkerHarness) -> None:
    """P6: a branch in a timer ends, and branches without a heartbeat start no further step."""
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
    """The failed child has compensated, and the parent compensates the completed child."""
    legs = (TripPlan(do=("hotel",), name="first"), TripPlan(do=("flight", "fail"), name="second"))

    trip = await harness.start_trip("car", "first|second", legs=legs)

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "Planned")
    assert sorted(harness.participants.started[1:4]) == ["book-flight", "book-hotel", "cancel-flight"]
    assert harness.participants.started[4:] == ["cancel-hotel", "cancel-car"]
    assert (await harness.wait_for_ending(harness.child_of(trip, "second"))).saga == "compensated"


async def test_a_child_in_a_cancelled_branch_compensates(harness: WorkerHarness) -> None:
    """The parent waits until the child has compensated."""
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
    """The cancel of a branch cancels the inner branches."""
    harness.participants.when("book-flight", rejects())
    trip = await harness.start_trip("hotel", "sleep/sleep,look/flight")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "sold_out")
    assert "look-around" not in harness.participants.started


@pytest.mark.parametrize("do", ["pay|hotel", "hotel|pay", "look,pay|hotel", "hotel+pay"])
async def test_the_pivot_runs_alone(harness: WorkerHarness, do: str) -> None:
    """A step beside the pivot is a definition error, and the done steps are compensated."""
    trip = await harness.start_trip("car", do)

    ending = await harness.wait_for_ending(trip)

    assert (ending.closed, ending.code) == ("FAILED", "DefinitionError")
    assert "pay" not in harness.participants.started
    assert harness.participants.started[-1] == "cancel-car"


async def test_compensations_run_all_at_once_in_parallel_order(harness: WorkerHarness) -> None:
    """With the order `PARALLEL`, no compensation waits for another compensation."""
    hotel, flight = harness.participants.block("cancel-hotel"), harness.participants.block("cancel-flight")
    trip = await harness.start_trip("hotel", "flight", "fail", order=CompensationOrder.PARALLEL)
    await hotel.entered.wait()
    await flight.entered.wait()
    hotel.released.set()
    flight.released.set()

    assert (await harness.wait_for_ending(trip)).saga == "compensated"


async def test_a_closed_child_keeps_its_compensation_order(harness: WorkerHarness) -> None:
    """The child's compensations run all at once, at the place of the child among the parent's steps."""
    hotel, flight = harness.participants.block("cancel-hotel"), harness.participants.block("cancel-flight")
    leg = TripPlan(do=("hotel", "flight"), order=CompensationOrder.PARALLEL)
    trip = await harness.start_trip("look", leg, "car", "fail")
    await hotel.entered.wait()
    await flight.entered.wait()
    assert harness.participants.started[-3] == "cancel-car"
    hotel.released.set()
    flight.released.set()

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
