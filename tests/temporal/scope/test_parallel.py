"""Branches at the same time: one order of start, one failure that counts, and nothing that outlives them."""

import asyncio
from inspect import getcoroutinestate

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import EventType

from sagas import CompensationOrder, DefinitionError, RejectedError, Saga

from ..fixtures.trip_participants import Gate, breaks, refuses
from ..fixtures.trip_plan import Plan
from ..fixtures.trip_saga import STEPS
from ..fixtures.worker_harness import WORKFLOWS as USUAL
from ..fixtures.worker_harness import Ending, Stage

SCHEDULED = EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED


# In the sandbox, this file would be read again for each worker.
@workflow.defn(sandboxed=False)
class NotingSaga:
    """Passes over the refusals of its branches, and says what it has learnt of them."""

    @workflow.run
    async def run(self, plan: Plan) -> list[str]:
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
    async def run(self, plan: Plan) -> list[str]:
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


async def test_branches_begin_in_their_order_and_all_end_before_the_saga_goes_on(stage: Stage) -> None:
    """They share one workflow task, and what follows waits for the last of them."""
    hotel = stage.agency.hold("book-hotel")
    trip = await stage.start("hotel|flight", "look")
    await hotel.entered.wait()
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    assert "look-around" not in stage.agency.story

    hotel.opened.set()

    assert (await stage.ending(trip)).closed == "COMPLETED"
    assert stage.agency.story[-1] == "look-around"
    scheduled = [event async for event in trip.fetch_history_events() if event.event_type == SCHEDULED]
    names = [e.activity_task_scheduled_event_attributes.activity_type.name for e in scheduled]
    tasks = [e.activity_task_scheduled_event_attributes.workflow_task_completed_event_id for e in scheduled]
    assert names == ["book-hotel", "book-flight", "look-around"]
    assert tasks[0] == tasks[1] < tasks[2]


async def test_the_first_failure_says_what_else_has_failed(stage: Stage) -> None:
    """Whoever mends the one should know of the other; the first is the first in time."""
    gate = Gate()

    async def refuse_later() -> object:
        await gate.hold()
        return await refuses("no_car")()

    stage.agency.when("book-car", refuse_later)
    stage.agency.when("book-flight", refuses("no_flight"))
    trip = await stage.client.start_workflow(
        NotingSaga.run, Plan(do=()), id=f"noting-{stage.task_queue}", task_queue=stage.task_queue
    )
    stage.ids.append(trip.id)
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED)
    gate.opened.set()

    assert await trip.result() == [
        "no_flight (seat): no_flight, sorry",
        "and another branch failed: RejectedError: no_car (seat): no_car, sorry",
    ]


async def test_a_task_is_no_branch(stage: Stage) -> None:
    """Refused in a sentence, before any branch has begun; and none is left that nobody awaits."""
    trip = await stage.client.start_workflow(
        TaskSaga.run, Plan(do=()), id=f"task-{stage.task_queue}", task_queue=stage.task_queue
    )
    stage.ids.append(trip.id)

    refusal, state = await trip.result()

    assert "not a Task" in refusal
    assert state == "CORO_CLOSED"
    assert stage.agency.story == []


async def test_a_failing_branch_lets_the_others_finish_before_anything_is_compensated(stage: Stage) -> None:
    """A compensation does not overtake an action; the first failure is the saga's."""
    car = stage.agency.hold("book-car")
    stage.agency.when("book-flight", refuses())
    trip = await stage.start("hotel", "car,look|flight")
    await car.entered.wait()
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED)
    assert "cancel-hotel" not in stage.agency.story

    car.opened.set()

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "sold_out")
    assert stage.agency.log[-5:] == [
        "-look-around",
        "+cancel-car",
        "-cancel-car",
        "+cancel-hotel",
        "-cancel-hotel",
    ]


async def test_a_failing_branch_may_cancel_the_others(stage: Stage) -> None:
    """What is under way is asked to stop, nothing more begins in them, and what may have happened is owed."""
    stage.agency.when("book-car", Gate().hold_and_beat)
    stage.agency.when("book-flight", breaks(final=True))
    trip = await stage.start("hotel", "car,look/flight")

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "unknown_outcome")

    assert "look-around" not in stage.agency.story
    assert stage.agency.story[-3:] == ["cancel-flight", "cancel-car", "cancel-hotel"]


async def test_the_failures_of_two_branches_are_the_first_of_them(stage: Stage) -> None:
    """The other is not lost, either: what it has left is made up for."""
    hotel = Gate()

    async def breaks_later() -> object:
        await hotel.hold()
        return await breaks(final=True)()

    stage.agency.when("book-flight", refuses("no_seat"))
    stage.agency.when("book-hotel", breaks_later)
    trip = await stage.start("look", "hotel|flight")
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED)
    hotel.opened.set()

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "no_seat")
    assert stage.agency.story[-1] == "cancel-hotel"


async def test_a_cancel_reaches_every_branch(stage: Stage) -> None:
    """P6: also one that waits for nothing but time, and one that hears no cancel."""
    car, flight = stage.agency.hold("book-car"), stage.agency.hold("book-flight")
    trip = await stage.start("hotel", "car,look|sleep|flight,look")
    await car.entered.wait()
    await flight.entered.wait()

    await trip.cancel()
    car.opened.set()
    flight.opened.set()

    assert await stage.ending(trip) == Ending("CANCELED", "compensated")
    assert "look-around" not in stage.agency.story
    assert stage.agency.story[-3:] == ["cancel-flight", "cancel-car", "cancel-hotel"]


async def test_children_run_in_parallel(stage: Stage) -> None:
    """Each compensates by itself when it fails; the one that closed is made up for by its parent."""
    legs = (Plan(do=("hotel",), name="first"), Plan(do=("flight", "fail"), name="second"))

    trip = await stage.start("car", "first|second", legs=legs)

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "ApplicationError")
    assert sorted(stage.agency.story[1:4]) == ["book-flight", "book-hotel", "cancel-flight"]
    assert stage.agency.story[4:] == ["cancel-hotel", "cancel-car"]
    assert (await stage.ending(stage.child_of(trip, "second"))).saga == "compensated"


async def test_a_child_in_a_branch_that_is_cancelled_compensates(stage: Stage) -> None:
    """The parent waits until it has."""
    legs = (Plan(do=("hotel", "sleep"), name="first"),)
    trip = await stage.start("car", "first/wait,fail", legs=legs)
    child = stage.child_of(trip, "first")
    await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await stage.event(child, EventType.EVENT_TYPE_TIMER_STARTED)

    await trip.signal("go")

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "ApplicationError")
    assert (await stage.ending(child)).closed == "CANCELED"
    assert stage.agency.story == ["book-car", "book-hotel", "cancel-hotel", "cancel-car"]


async def test_branches_in_branches(stage: Stage) -> None:
    """A branch that is cancelled cancels its own."""
    stage.agency.when("book-flight", refuses())
    trip = await stage.start("hotel", "sleep/sleep,look/flight")

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "sold_out")
    assert "look-around" not in stage.agency.story


@pytest.mark.parametrize("do", ["pay|hotel", "hotel|pay", "look,pay|hotel", "hotel+pay"])
async def test_the_pivot_is_passed_alone(stage: Stage, do: str) -> None:
    """Nothing may fail beside it: the saga is badly written, and makes up for what it has done."""
    trip = await stage.start("car", do)

    ending = await stage.ending(trip)

    assert (ending.closed, ending.code) == ("FAILED", "DefinitionError")
    assert "pay" not in stage.agency.story
    assert stage.agency.story[-1] == "cancel-car"


async def test_compensations_run_all_at_once_if_the_saga_says_so(stage: Stage) -> None:
    """The order `parallel`: none waits for another, and one that fails holds up none."""
    hotel, flight = stage.agency.hold("cancel-hotel"), stage.agency.hold("cancel-flight")
    trip = await stage.start("hotel", "flight", "fail", order=CompensationOrder.PARALLEL)
    await hotel.entered.wait()
    await flight.entered.wait()
    hotel.opened.set()
    flight.opened.set()

    assert (await stage.ending(trip)).saga == "compensated"


async def test_a_closed_child_is_made_up_for_in_its_own_order(stage: Stage) -> None:
    """Its compensations run all at once, in the place that the child has among its parent's steps."""
    hotel, flight = stage.agency.hold("cancel-hotel"), stage.agency.hold("cancel-flight")
    leg = Plan(do=("hotel", "flight"), order=CompensationOrder.PARALLEL)
    trip = await stage.start("look", leg, "car", "fail")
    await hotel.entered.wait()
    await flight.entered.wait()
    assert stage.agency.story[-3] == "cancel-car"
    hotel.opened.set()
    flight.opened.set()

    assert (await stage.ending(trip)).saga == "compensated"
