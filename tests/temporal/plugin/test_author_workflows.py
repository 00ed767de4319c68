"""Sagas in workflows as people write them: with time limits, tasks and handlers, or simply wrong."""

from typing import Any, Protocol
from uuid import uuid4

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.common import RetryPolicy

from sagas._run import task_size_limit as load
from sagas.operator import SagaClient

from ..fixtures import author_workflows as habits
from ..fixtures.trip_saga import Booking, Gate, Plan, breaks, refuses
from ..fixtures.trip_worker import WORKFLOWS as USUAL
from ..fixtures.trip_worker import Ending, Handle, Stage

WORKFLOWS = [*USUAL, *habits.HABITS]
SCHEDULED = EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
COMPLETED = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
TASK_COMPLETED = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
TASK_FAILED = EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
TIMER_STARTED = EventType.EVENT_TYPE_TIMER_STARTED


class Habit(Protocol):
    """A workflow class."""

    async def run(self, plan: Plan, /) -> Any: ...


async def begin(stage: Stage, habit: type[Habit], *do: str, **plan: Any) -> Handle:
    """Starts a workflow of this kind."""
    habit_id = f"habit-{uuid4().hex[:8]}"
    stage.ids.append(habit_id)
    return await stage.client.start_workflow(
        habit.__name__, Plan(do=do, **plan), id=habit_id, task_queue=stage.task_queue, result_type=object
    )


async def sent(handle: Handle) -> list[bytes]:
    """The messages of the activities, as they were sent."""
    scheduled = [e.activity_task_scheduled_event_attributes async for e in handle.fetch_history_events()]
    return [each.input.payloads[0].data for each in scheduled if each.activity_id]


async def task_failure(stage: Stage, handle: Handle) -> str:
    """Why its task fails, until the code is mended."""
    failed = await stage.event(handle, TASK_FAILED)
    await handle.terminate("the code is not going to be mended")
    root, _, _ = handle.id.partition("/")
    stage.ids.remove(root)  # what failed its tasks fails in replay
    return failed.workflow_task_failed_event_attributes.failure.message


@pytest.mark.parametrize("habit", [habits.StepAfterTheBlock, habits.StepBeforeTheBlock])
async def test_a_step_outside_of_the_block_is_refused(stage: Stage, habit: type[Habit]) -> None:
    """Nobody would make up for it."""
    trip = await begin(stage, habit)

    assert "called outside of its saga" in await task_failure(stage, trip)
    assert "book-flight" not in stage.agency.story


async def test_what_is_under_way_at_the_end_of_the_block_is_waited_for(stage: Stage) -> None:
    """P2: the saga is not completed while an action may still happen."""
    flight = stage.agency.hold("book-flight")
    trip = await begin(stage, habits.TaskAtTheEnd)
    await flight.entered.wait()
    await stage.event(trip, EventType.EVENT_TYPE_TIMER_FIRED)
    await stage.event(trip, TASK_COMPLETED, nth=3)
    flight.opened.set()

    assert (await stage.ending(trip)).closed == "COMPLETED"
    assert stage.agency.log[-1] == "-book-flight"
    assert len([e async for e in trip.fetch_history_events() if e.event_type == COMPLETED]) == 2


async def test_a_cancel_at_the_end_of_the_block_turns_round(stage: Stage) -> None:
    """P6: while it waits for what is under way."""
    flight = stage.agency.hold("book-flight")
    trip = await begin(stage, habits.TaskAtTheEnd)
    await flight.entered.wait()
    await stage.event(trip, EventType.EVENT_TYPE_TIMER_FIRED)
    await trip.cancel()
    await stage.event(trip, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
    flight.opened.set()

    assert await stage.ending(trip) == Ending("CANCELED", "compensated")
    assert stage.agency.story[2:] == ["cancel-flight", "cancel-hotel"]


async def test_a_handler_does_a_step_of_the_saga(stage: Stage) -> None:
    """It is made up for like any other."""
    trip = await begin(stage, habits.StepInAHandler)
    await stage.event(trip, COMPLETED)

    assert await trip.execute_update("add", "flight") == "flight"
    await trip.signal("go")

    assert (await stage.ending(trip)).saga == "compensated"
    assert stage.agency.story[2:] == ["cancel-flight", "cancel-hotel"]


async def test_two_branches_wait_for_the_same_event(stage: Stage) -> None:
    """Each takes one."""
    trip = await begin(stage, habits.TwoWaitForOne)
    await stage.event(trip, TIMER_STARTED, nth=2)
    await trip.signal("visa", Plan(do=(), name="one"))
    await stage.event(trip, TASK_COMPLETED, nth=2)
    await trip.signal("visa", Plan(do=(), name="two"))

    assert (await stage.ending(trip)).result == ["one", "two"]


async def test_a_cancel_reaches_a_saga_whose_children_were_gathered(stage: Stage) -> None:
    """P6: whichever of them has started first."""
    trip = await begin(stage, habits.ChildrenByGather)
    await stage.event(trip, TIMER_STARTED)
    await trip.cancel()

    assert await stage.ending(trip) == Ending("CANCELED", "compensated")


async def queues(handle: Handle) -> dict[str, str]:
    """Where each compensation of a workflow was sent."""
    scheduled = [
        event.activity_task_scheduled_event_attributes
        async for event in handle.fetch_history_events()
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    ]
    return {each.activity_id: each.task_queue.name for each in scheduled if "compensate" in each.activity_id}


async def test_what_a_child_owes_is_sent_to_its_own_workers(stage: Stage) -> None:
    """P7: they are the ones who can make up for it; also by a rescue, and where the child was cut off."""
    here, there = stage.task_queue, f"{stage.task_queue}-office"
    # Each class is imported into the sandbox for each worker.
    stage.workflows = [habits.FarParent, habits.FarChild, habits.StepChild]
    await stage.open(there)
    await stage.open(habits.GARAGE, workflows=False)
    expected = {
        "compensate.office:book-car": habits.GARAGE,
        "compensate.office/desk:book-hotel": there,
        "compensate.office:book-flight": there,
        "compensate.book-hotel": here,
    }

    trip = await begin(stage, habits.FarParent, there)
    assert (await stage.ending(trip)).saga == "compensated"
    assert await queues(trip) == expected

    cut_off = await begin(stage, habits.FarParent, there, "wait")
    office = stage.child_of(cut_off, "office")
    await stage.event(cut_off, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await stage.event(office, TIMER_STARTED)
    await office.terminate("cut off")
    await stage.status(cut_off, "stuck")
    await cut_off.terminate("cut off")
    rescue = await SagaClient(stage.client).rescue(cut_off.id, by="mia", because="it was cut off")
    rescuer = stage.client.get_workflow_handle(rescue.workflow_id)
    await rescuer.result()
    assert await queues(cut_off) | await queues(rescuer) == expected


async def test_a_compensation_gets_what_its_action_took_and_returned(stage: Stage) -> None:
    """P4: not what has become of the same objects in the workflow since."""
    trip = await begin(stage, habits.ChangesItsMessages)

    assert (await stage.ending(trip)).saga == "compensated"
    action, compensation = await sent(trip)
    assert action == compensation
    assert stage.agency.results == [Booking(number="book-hotel-1")]


async def test_a_pivot_is_tried_again_with_the_same_message(stage: Stage) -> None:
    """P3: the same key with another message is another request."""
    gate = Gate()

    async def hold_and_break() -> object:
        await gate.hold()
        return await breaks()()

    stage.agency.when("pay", hold_and_break)
    trip = await begin(stage, habits.ChangesItsMessages, "pay")
    await gate.entered.wait()

    await trip.signal("change")
    gate.opened.set()

    assert (await stage.ending(trip)).closed == "COMPLETED"
    _, first, second = await sent(trip)
    assert first == second


@pytest.mark.parametrize("words", [1, 2])
async def test_a_saga_that_continues_as_new_has_its_last_words_once(stage: Stage, words: int) -> None:
    """P3: though the code that gives them is run in each run; two that are the same are two."""
    trip = await begin(stage, habits.TellsInEachRun, "again", "again", *["tell"] * words)

    assert (await stage.ending(trip)).saga == "compensated"
    assert stage.agency.story.count("tell-customer") == words


async def test_a_saga_does_not_go_on_with_a_state_that_it_does_not_take(stage: Stage) -> None:
    """P7: the next run could not compensate, and a parent would take that for a child that has."""
    trip = await begin(stage, habits.BadStateParent)

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "DefinitionError")
    assert stage.agency.story == ["book-flight", "book-hotel", "cancel-hotel", "cancel-flight"]


async def test_a_saga_does_not_go_on_with_fewer_arguments_than_its_run_has(stage: Stage) -> None:
    """P7: Temporal would give the next run a dict, where it gave a model to the first."""
    trip: Handle = await stage.client.start_workflow(
        "HalfAState", args=[Plan(do=()), "word"], id=f"half-{stage.task_queue}", task_queue=stage.task_queue
    )
    stage.ids.append(trip.id)

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "DefinitionError")
    assert stage.agency.story == ["book-hotel", "cancel-hotel"]


@pytest.mark.parametrize("what", ["steps", "children"])
async def test_what_is_too_much_for_one_task_is_sent_in_several(stage: Stage, what: str) -> None:
    """P7: Temporal terminates a workflow whose task sends more than 4 MiB."""
    trip = await begin(stage, habits.Wide, what)

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "ApplicationError")
    booked, cancelled = stage.agency.story[:6], stage.agency.story[6:]
    assert [each.replace("book", "cancel") for each in booked] == cancelled


@pytest.mark.parametrize("what", ["steps", "children"])
async def test_what_waits_for_another_task_is_withdrawn_by_a_cancel(
    stage: Stage, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P4: it was never sent, so there is nothing to make up for; the others are made up for."""
    monkeypatch.setattr(load, "A_MOMENT", habits.HOUR)
    trip = await begin(stage, habits.Wide, what)
    await stage.event(trip, TIMER_STARTED)

    await trip.cancel()

    assert (await stage.ending(trip)).closed == "CANCELED"
    booked, cancelled = stage.agency.story[:3], stage.agency.story[3:]
    assert [each.replace("book", "cancel") for each in booked] == cancelled


@pytest.mark.parametrize(("what", "code"), [("large", "message_too_large"), ("two", "DefinitionError")])
async def test_an_activity_of_its_own_that_would_wedge_a_saga_is_refused(
    stage: Stage, what: str, code: str
) -> None:
    """P7: before it is sent, so that what was done is made up for; one id may be used again later."""
    trip = await begin(stage, habits.OwnActivities, what)

    assert await stage.ending(trip) == Ending("FAILED", "compensated", code)
    assert stage.agency.story[-1] == "cancel-hotel"
    assert stage.agency.story.count("book-car") == (0 if what == "large" else 3)


async def test_an_activity_that_is_abandoned_is_refused_after_the_block_as_well(stage: Stage) -> None:
    """P7: it would wedge a child, which has still to tell its parent what it owes."""
    trip = await begin(stage, habits.OwnActivities, "late")

    assert "ABANDON" in await task_failure(stage, trip)


async def test_a_time_limit_cannot_take_the_pivot_back(stage: Stage) -> None:
    """P6: it may have happened, so it is tried until there is a verdict."""
    stage.agency.when("pay", breaks())

    trip = await begin(stage, habits.LimitedPivot)

    assert (await stage.ending(trip)).closed == "COMPLETED"
    assert stage.agency.story == ["book-hotel", "pay", "pay"]


@pytest.mark.parametrize("habit", [habits.LimitedSaga, habits.WaitForSaga])
async def test_a_time_limit_does_not_stop_a_compensation(stage: Stage, habit: type[Habit]) -> None:
    """P7: not even one that is stuck."""
    stage.agency.when("cancel-hotel", refuses())
    trip = await begin(stage, habit)
    await stage.status(trip, "stuck")
    await stage.event(trip, EventType.EVENT_TYPE_TIMER_FIRED)
    await stage.event(trip, TASK_COMPLETED, nth=4)

    await stage.retry(trip)

    assert (await stage.ending(trip)).saga == "compensated"
    assert stage.agency.story[1:] == ["cancel-hotel", "cancel-hotel"]


async def test_a_time_limit_does_not_end_what_follows_the_pivot(stage: Stage) -> None:
    """It is tried until it is done."""
    stage.agency.when("send-ticket", refuses())
    trip = await begin(stage, habits.LimitedAfterThePivot)
    await stage.event(trip, EventType.EVENT_TYPE_TIMER_FIRED)
    await stage.event(trip, TASK_COMPLETED, nth=4)

    await stage.retry(trip)

    ending = await stage.ending(trip)
    assert (ending.closed, ending.saga) == ("COMPLETED", "completed")
    assert stage.agency.story == ["pay", "send-ticket", "send-ticket"]


async def test_branches_do_not_outlive_a_time_limit(stage: Stage) -> None:
    """Nothing of them begins after the pivot that follows."""
    trip = await begin(stage, habits.LimitedBranches)
    await stage.event(trip, COMPLETED, nth=3)
    await trip.signal("go")

    assert (await stage.ending(trip)).closed == "COMPLETED"
    assert "book-flight" not in stage.agency.story


async def test_a_time_limit_of_branches_waits_for_what_is_under_way_in_them(stage: Stage) -> None:
    """P6: the pivot that follows must not overtake it."""
    look = stage.agency.hold("look-around")
    trip = await begin(stage, habits.LimitedBranches)
    fired = await stage.event(trip, EventType.EVENT_TYPE_TIMER_FIRED)
    await stage.event(trip, TASK_COMPLETED, after=fired.event_id)
    scheduled = [e async for e in trip.fetch_history_events() if e.event_type == SCHEDULED]

    look.opened.set()

    assert len(scheduled) == 2
    assert (await stage.ending(trip)).closed == "COMPLETED"
    assert stage.agency.story[2:] == ["pay"]


async def test_a_workflow_does_not_end_before_its_saga(stage: Stage) -> None:
    """P7: what the saga owes would be lost; its task fails until the code is mended."""
    trip = await begin(stage, habits.SagaInATask)
    await stage.event(trip, COMPLETED)
    await trip.cancel()

    assert "before its saga" in await task_failure(stage, trip)


async def test_a_child_that_opens_no_saga_in_its_last_run_still_owes(stage: Stage) -> None:
    """P7: what its earlier runs have done."""
    trip = await begin(stage, habits.ReaderParent)

    assert (await stage.ending(trip)).saga == "compensated"
    assert stage.agency.story == ["book-hotel", "cancel-hotel"]


async def test_a_saga_that_continues_as_new_by_itself_is_refused(stage: Stage) -> None:
    """P7: the next run would know nothing of what was done."""
    trip = await begin(stage, habits.PlainContinue)

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "DefinitionError")
    assert stage.agency.story == ["book-hotel", "cancel-hotel"]


async def test_a_child_that_fails_after_a_local_activity_of_no_saga_is_lost(stage: Stage) -> None:
    """P8: as after any other activity."""
    trip = await begin(stage, habits.LocalCarelessParent)

    await stage.status(trip, "stuck")


async def test_a_pivot_in_a_task_of_its_own_is_refused(stage: Stage) -> None:
    """P6: an error beside it would compensate what it has made final."""
    trip = await begin(stage, habits.PivotInATask)

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "DefinitionError")
    assert stage.agency.story == ["book-hotel", "cancel-hotel"]


@pytest.mark.parametrize("where", ["text", "details", "cause"])
async def test_an_error_that_is_too_long_to_fail_with_is_cut(stage: Stage, where: str) -> None:
    """P1: Temporal would wedge the workflow, whose saga says that it has ended."""
    trip = await begin(stage, habits.LongError, where)

    assert (await stage.ending(trip)).saga == "compensated"


async def test_a_child_that_owes_too_much_to_tell_makes_up_for_it_by_itself(stage: Stage) -> None:
    """P1: Temporal would wedge it, and its parent would wait for ever."""
    trip = await begin(stage, habits.HeavyParent)

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "message_too_large")
    assert stage.agency.story[4:] == [*["cancel-hotel"] * 3, "cancel-car"]


async def test_a_result_that_the_server_would_not_take_is_refused_in_our_words(stage: Stage) -> None:
    """P8: the task fails until the code returns less, and says what to do."""
    trip = await begin(stage, habits.LongStory)

    failure = await task_failure(stage, trip)

    assert "the result of the workflow has 2100" in failure
    assert "return less" in failure


async def test_a_retry_policy_of_the_workflow_is_refused(stage: Stage) -> None:
    """P6: the next run would make up for what the one before has completed, under the same keys."""
    trip = await stage.client.start_workflow(
        habits.StepChild.run,
        Plan(do=()),
        id=f"retried-{uuid4().hex[:8]}",
        task_queue=stage.task_queue,
        retry_policy=RetryPolicy(maximum_attempts=3),
    )
    stage.ids.append(trip.id)

    assert (await stage.ending(trip)).code == "SagaRefused"
    assert stage.agency.story == []


async def test_a_cron_schedule_is_refused(stage: Stage) -> None:
    """P3: its second run would have the keys of the first, and no effect."""
    trip: Handle = await stage.client.start_workflow(
        "TripSaga",
        Plan(do=("hotel",)),
        id=f"cron-{uuid4().hex[:8]}",
        task_queue=stage.task_queue,
        cron_schedule="@every 1s",
    )
    first = stage.client.get_workflow_handle(trip.id, run_id=trip.first_execution_run_id)
    failed = await stage.event(first, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED)
    await stage.client.get_workflow_handle(trip.id).terminate("the test is over")

    assert "same keys" in failed.workflow_execution_failed_event_attributes.failure.message
    assert stage.agency.story == []


async def test_a_saga_is_stuck_as_long_as_anything_is(stage: Stage) -> None:
    """P1: and not any longer, whatever it was when the last of it began."""
    stage.agency.when("book-car", refuses())
    stage.agency.when("book-flight", refuses())
    trip = await begin(stage, habits.StuckTwice)
    await stage.status(trip, "stuck")
    await trip.signal("go")
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED, nth=2)
    await stage.event(trip, TASK_COMPLETED, nth=5)

    await stage.retry(trip)
    await stage.event(trip, TIMER_STARTED)

    assert (await stage.details(trip)).startswith("**running**")
    await trip.signal("end")
    assert (await stage.ending(trip)).closed == "COMPLETED"
