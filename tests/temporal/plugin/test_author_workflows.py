"""Sagas in workflows as people write them: with time limits, tasks and handlers, or simply wrong."""

from typing import Any, Protocol
from uuid import uuid4

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.common import RetryPolicy

from sagas._run import task_size_limit as load
from sagas.operator import SagaClient

from ..fixtures import author_workflows as habits
from ..fixtures.trip_participants import ActivityLatch, fails, rejects
from ..fixtures.trip_plan import Booking, TripPlan
from ..fixtures.worker_harness import WORKFLOWS as USUAL
from ..fixtures.worker_harness import Ending, Handle, WorkerHarness

WORKFLOWS = [*USUAL, *habits.AUTHOR_WORKFLOWS]
SCHEDULED = EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
COMPLETED = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
TASK_COMPLETED = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
TASK_FAILED = EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
TIMER_STARTED = EventType.EVENT_TYPE_TIMER_STARTED


class Habit(Protocol):
    """A workflow class."""

    async def run(self, plan: TripPlan, /) -> Any: ...


async def begin(harness: WorkerHarness, habit: type[Habit], *do: str, **plan: Any) -> Handle:
    """Starts a workflow of this kind."""
    habit_id = f"habit-{uuid4().hex[:8]}"
    harness.workflow_ids.append(habit_id)
    return await harness.client.start_workflow(
        habit.__name__,
        TripPlan(do=do, **plan),
        id=habit_id,
        task_queue=harness.task_queue,
        result_type=object,
    )


async def sent(handle: Handle) -> list[bytes]:
    """The messages of the activities, as they were sent."""
    scheduled = [e.activity_task_scheduled_event_attributes async for e in handle.fetch_history_events()]
    return [each.input.payloads[0].data for each in scheduled if each.activity_id]


async def task_failure(harness: WorkerHarness, handle: Handle) -> str:
    """Why its task fails, until the code is mended."""
    failed = await harness.wait_for_event(handle, TASK_FAILED)
    await handle.terminate("the code is not going to be mended")
    root, _, _ = handle.id.partition("/")
    harness.workflow_ids.remove(root)  # what failed its tasks fails in replay
    return failed.workflow_task_failed_event_attributes.failure.message


@pytest.mark.parametrize("habit", [habits.StepAfterTheBlock, habits.StepBeforeTheBlock])
async def test_a_step_outside_of_the_block_is_refused(harness: WorkerHarness, habit: type[Habit]) -> None:
    """Nobody would make up for it."""
    trip = await begin(harness, habit)

    assert "called outside of its saga" in await task_failure(harness, trip)
    assert "book-flight" not in harness.participants.started


async def test_what_is_under_way_at_the_end_of_the_block_is_waited_for(harness: WorkerHarness) -> None:
    """P2: the saga is not completed while an action may still happen."""
    flight = harness.participants.block("book-flight")
    trip = await begin(harness, habits.TaskAtTheEnd)
    await flight.entered.wait()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_TIMER_FIRED)
    await harness.wait_for_event(trip, TASK_COMPLETED, nth=3)
    flight.released.set()

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.log[-1] == "-book-flight"
    assert len([e async for e in trip.fetch_history_events() if e.event_type == COMPLETED]) == 2


async def test_a_cancel_at_the_end_of_the_block_turns_round(harness: WorkerHarness) -> None:
    """P6: while it waits for what is under way."""
    flight = harness.participants.block("book-flight")
    trip = await begin(harness, habits.TaskAtTheEnd)
    await flight.entered.wait()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_TIMER_FIRED)
    await trip.cancel()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
    flight.released.set()

    assert await harness.wait_for_ending(trip) == Ending("CANCELED", "compensated")
    assert harness.participants.started[2:] == ["cancel-flight", "cancel-hotel"]


async def test_a_handler_does_a_step_of_the_saga(harness: WorkerHarness) -> None:
    """It is made up for like any other."""
    trip = await begin(harness, habits.StepInAHandler)
    await harness.wait_for_event(trip, COMPLETED)

    assert await trip.execute_update("add", "flight") == "flight"
    await trip.signal("go")

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started[2:] == ["cancel-flight", "cancel-hotel"]


async def test_two_branches_wait_for_the_same_event(harness: WorkerHarness) -> None:
    """Each takes one."""
    trip = await begin(harness, habits.TwoWaitersForOneEvent)
    await harness.wait_for_event(trip, TIMER_STARTED, nth=2)
    await trip.signal("visa", TripPlan(do=(), name="one"))
    await harness.wait_for_event(trip, TASK_COMPLETED, nth=2)
    await trip.signal("visa", TripPlan(do=(), name="two"))

    assert (await harness.wait_for_ending(trip)).result == ["one", "two"]


async def test_a_cancel_reaches_a_saga_whose_children_were_gathered(harness: WorkerHarness) -> None:
    """P6: whichever of them has started first."""
    trip = await begin(harness, habits.ChildrenByGather)
    await harness.wait_for_event(trip, TIMER_STARTED)
    await trip.cancel()

    assert await harness.wait_for_ending(trip) == Ending("CANCELED", "compensated")


async def queues(handle: Handle) -> dict[str, str]:
    """Where each compensation of a workflow was sent."""
    scheduled = [
        event.activity_task_scheduled_event_attributes
        async for event in handle.fetch_history_events()
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    ]
    return {each.activity_id: each.task_queue.name for each in scheduled if "compensate" in each.activity_id}


async def test_what_a_child_owes_is_sent_to_its_own_workers(harness: WorkerHarness) -> None:
    """P7: they are the ones who can make up for it; also by a rescue, and where the child was cut off."""
    here, there = harness.task_queue, f"{harness.task_queue}-office"
    # Each class is imported into the sandbox for each worker.
    harness.workflows = [habits.ParentAcrossQueues, habits.ChildOnOtherQueue, habits.OneStepChild]
    await harness.start_worker(there)
    await harness.start_worker(habits.GARAGE, workflows=False)
    expected = {
        "compensate.office:book-car": habits.GARAGE,
        "compensate.office/one-step:book-hotel": there,
        "compensate.office:book-flight": there,
        "compensate.book-hotel": here,
    }

    trip = await begin(harness, habits.ParentAcrossQueues, there)
    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert await queues(trip) == expected

    cut_off = await begin(harness, habits.ParentAcrossQueues, there, "wait")
    office = harness.child_of(cut_off, "office")
    await harness.wait_for_event(cut_off, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await harness.wait_for_event(office, TIMER_STARTED)
    await office.terminate("cut off")
    await harness.wait_for_status(cut_off, "stuck")
    await cut_off.terminate("cut off")
    rescue = await SagaClient(harness.client).rescue(cut_off.id, by="mia", because="it was cut off")
    rescuer = harness.client.get_workflow_handle(rescue.workflow_id)
    await rescuer.result()
    assert await queues(cut_off) | await queues(rescuer) == expected


async def test_a_compensation_gets_what_its_action_took_and_returned(harness: WorkerHarness) -> None:
    """P4: not what has become of the same objects in the workflow since."""
    trip = await begin(harness, habits.MutatesItsMessages)

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    action, compensation = await sent(trip)
    assert action == compensation
    assert harness.participants.results == [Booking(number="book-hotel-1")]


async def test_a_pivot_is_tried_again_with_the_same_message(harness: WorkerHarness) -> None:
    """P3: the same key with another message is another request."""
    latch = ActivityLatch()

    async def block_then_fail() -> object:
        await latch.block()
        return await fails()()

    harness.participants.when("pay", block_then_fail)
    trip = await begin(harness, habits.MutatesItsMessages, "pay")
    await latch.entered.wait()

    await trip.signal("change")
    latch.released.set()

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    _, first, second = await sent(trip)
    assert first == second


@pytest.mark.parametrize("words", [1, 2])
async def test_a_saga_that_continues_as_new_has_its_last_words_once(
    harness: WorkerHarness, words: int
) -> None:
    """P3: though the code that gives them is run in each run; two that are the same are two."""
    trip = await begin(harness, habits.NotifiesInEachRun, "again", "again", *["tell"] * words)

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started.count("tell-customer") == words


async def test_a_saga_does_not_go_on_with_a_state_that_it_does_not_take(harness: WorkerHarness) -> None:
    """P7: the next run could not compensate, and a parent would take that for a child that has."""
    trip = await begin(harness, habits.WrongStateTypeParent)

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "DefinitionError")
    assert harness.participants.started == ["book-flight", "book-hotel", "cancel-hotel", "cancel-flight"]


async def test_a_saga_does_not_go_on_with_fewer_arguments_than_its_run_has(harness: WorkerHarness) -> None:
    """P7: Temporal would give the next run a dict, where it gave a model to the first."""
    trip: Handle = await harness.client.start_workflow(
        "MissingStateArgument",
        args=[TripPlan(do=()), "word"],
        id=f"half-{harness.task_queue}",
        task_queue=harness.task_queue,
    )
    harness.workflow_ids.append(trip.id)

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "DefinitionError")
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


@pytest.mark.parametrize("what", ["steps", "children"])
async def test_what_is_too_much_for_one_task_is_sent_in_several(harness: WorkerHarness, what: str) -> None:
    """P7: Temporal terminates a workflow whose task sends more than 4 MiB."""
    trip = await begin(harness, habits.LargeParallelMessages, what)

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "Planned")
    booked, cancelled = harness.participants.started[:6], harness.participants.started[6:]
    assert [each.replace("book", "cancel") for each in booked] == cancelled


@pytest.mark.parametrize("what", ["steps", "children"])
async def test_what_waits_for_another_task_is_withdrawn_by_a_cancel(
    harness: WorkerHarness, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P4: it was never sent, so there is nothing to make up for; the others are made up for."""
    monkeypatch.setattr(load, "NEXT_TASK", habits.HOUR)
    trip = await begin(harness, habits.LargeParallelMessages, what)
    await harness.wait_for_event(trip, TIMER_STARTED)

    await trip.cancel()

    assert (await harness.wait_for_ending(trip)).closed == "CANCELED"
    booked, cancelled = harness.participants.started[:3], harness.participants.started[3:]
    assert [each.replace("book", "cancel") for each in booked] == cancelled


@pytest.mark.parametrize(("what", "code"), [("large", "message_too_large"), ("two", "DefinitionError")])
async def test_an_activity_of_its_own_that_would_wedge_a_saga_is_refused(
    harness: WorkerHarness, what: str, code: str
) -> None:
    """P7: before it is sent, so that what was done is made up for; one id may be used again later."""
    trip = await begin(harness, habits.PlainActivities, what)

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", code)
    assert harness.participants.started[-1] == "cancel-hotel"
    assert harness.participants.started.count("book-car") == (0 if what == "large" else 3)


async def test_an_activity_that_is_abandoned_is_refused_after_the_block_as_well(
    harness: WorkerHarness,
) -> None:
    """P7: it would wedge a child, which has still to tell its parent what it owes."""
    trip = await begin(harness, habits.PlainActivities, "late")

    assert "ABANDON" in await task_failure(harness, trip)


async def test_a_time_limit_cannot_take_the_pivot_back(harness: WorkerHarness) -> None:
    """P6: it may have happened, so it is tried until there is a verdict."""
    harness.participants.when("pay", fails())

    trip = await begin(harness, habits.PivotInTimeout)

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started == ["book-hotel", "pay", "pay"]


@pytest.mark.parametrize("habit", [habits.SagaInTimeout, habits.SagaInWaitFor])
async def test_a_time_limit_does_not_stop_a_compensation(harness: WorkerHarness, habit: type[Habit]) -> None:
    """P7: not even one that is stuck."""
    harness.participants.when("cancel-hotel", rejects())
    trip = await begin(harness, habit)
    await harness.wait_for_status(trip, "stuck")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_TIMER_FIRED)
    await harness.wait_for_event(trip, TASK_COMPLETED, nth=4)

    await harness.retry_stuck(trip)

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started[1:] == ["cancel-hotel", "cancel-hotel"]


async def test_a_time_limit_does_not_end_what_follows_the_pivot(harness: WorkerHarness) -> None:
    """It is tried until it is done."""
    harness.participants.when("send-ticket", rejects())
    trip = await begin(harness, habits.StepAfterPivotInTimeout)
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_TIMER_FIRED)
    await harness.wait_for_event(trip, TASK_COMPLETED, nth=4)

    await harness.retry_stuck(trip)

    ending = await harness.wait_for_ending(trip)
    assert (ending.closed, ending.saga) == ("COMPLETED", "completed")
    assert harness.participants.started == ["pay", "send-ticket", "send-ticket"]


async def test_branches_do_not_outlive_a_time_limit(harness: WorkerHarness) -> None:
    """Nothing of them begins after the pivot that follows."""
    trip = await begin(harness, habits.BranchesInTimeout)
    await harness.wait_for_event(trip, COMPLETED, nth=3)
    await trip.signal("go")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert "book-flight" not in harness.participants.started


async def test_a_time_limit_of_branches_waits_for_what_is_under_way_in_them(harness: WorkerHarness) -> None:
    """P6: the pivot that follows must not overtake it."""
    look = harness.participants.block("look-around")
    trip = await begin(harness, habits.BranchesInTimeout)
    fired = await harness.wait_for_event(trip, EventType.EVENT_TYPE_TIMER_FIRED)
    await harness.wait_for_event(trip, TASK_COMPLETED, after=fired.event_id)
    scheduled = [e async for e in trip.fetch_history_events() if e.event_type == SCHEDULED]

    look.released.set()

    assert len(scheduled) == 2
    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started[2:] == ["pay"]


async def test_a_workflow_does_not_end_before_its_saga(harness: WorkerHarness) -> None:
    """P7: what the saga owes would be lost; its task fails until the code is mended."""
    trip = await begin(harness, habits.SagaInATask)
    await harness.wait_for_event(trip, COMPLETED)
    await trip.cancel()

    assert "before its saga" in await task_failure(harness, trip)


async def test_a_child_that_opens_no_saga_in_its_last_run_still_owes(harness: WorkerHarness) -> None:
    """P7: what its earlier runs have done."""
    trip = await begin(harness, habits.NoSagaInSecondRunParent)

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_a_saga_that_continues_as_new_by_itself_is_refused(harness: WorkerHarness) -> None:
    """P7: the next run would know nothing of what was done."""
    trip = await begin(harness, habits.PlainContinue)

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "DefinitionError")
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_a_child_that_fails_after_a_local_activity_of_no_saga_is_lost(harness: WorkerHarness) -> None:
    """P8: as after any other activity."""
    trip = await begin(harness, habits.LocalActivityWithoutSagaParent)

    await harness.wait_for_status(trip, "stuck")


async def test_a_pivot_in_a_task_of_its_own_is_refused(harness: WorkerHarness) -> None:
    """P6: an error beside it would compensate what it has made final."""
    trip = await begin(harness, habits.PivotInATask)

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "DefinitionError")
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


@pytest.mark.parametrize("where", ["text", "details", "cause"])
async def test_an_error_that_is_too_long_to_fail_with_is_cut(harness: WorkerHarness, where: str) -> None:
    """P1: Temporal would wedge the workflow, whose saga says that it has ended."""
    trip = await begin(harness, habits.LargeError, where)

    assert (await harness.wait_for_ending(trip)).saga == "compensated"


async def test_a_child_that_owes_too_much_to_tell_makes_up_for_it_by_itself(harness: WorkerHarness) -> None:
    """P1: Temporal would wedge it, and its parent would wait for ever."""
    trip = await begin(harness, habits.LargeCompensationsParent)

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "message_too_large")
    assert harness.participants.started[4:] == [*["cancel-hotel"] * 3, "cancel-car"]


async def test_a_result_that_the_server_would_not_take_is_refused_in_our_words(
    harness: WorkerHarness,
) -> None:
    """P8: the task fails until the code returns less, and says what to do."""
    trip = await begin(harness, habits.LargeResult)

    failure = await task_failure(harness, trip)

    assert "the result of the workflow has 2100" in failure
    assert "return less" in failure


async def test_a_retry_policy_of_the_workflow_is_refused(harness: WorkerHarness) -> None:
    """P6: the next run would make up for what the one before has completed, under the same keys."""
    trip = await harness.client.start_workflow(
        habits.OneStepChild.run,
        TripPlan(do=()),
        id=f"retried-{uuid4().hex[:8]}",
        task_queue=harness.task_queue,
        retry_policy=RetryPolicy(maximum_attempts=3),
    )
    harness.workflow_ids.append(trip.id)

    assert (await harness.wait_for_ending(trip)).code == "SagaRefused"
    assert harness.participants.started == []


async def test_a_cron_schedule_is_refused(harness: WorkerHarness) -> None:
    """P3: its second run would have the keys of the first, and no effect."""
    trip: Handle = await harness.client.start_workflow(
        "TripSaga",
        TripPlan(do=("hotel",)),
        id=f"cron-{uuid4().hex[:8]}",
        task_queue=harness.task_queue,
        cron_schedule="@every 1s",
    )
    first = harness.client.get_workflow_handle(trip.id, run_id=trip.first_execution_run_id)
    failed = await harness.wait_for_event(first, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED)
    await harness.client.get_workflow_handle(trip.id).terminate("the test is over")

    assert "same keys" in failed.workflow_execution_failed_event_attributes.failure.message
    assert harness.participants.started == []


async def test_a_saga_is_stuck_as_long_as_anything_is(harness: WorkerHarness) -> None:
    """P1: and not any longer, whatever it was when the last of it began."""
    harness.participants.when("book-car", rejects())
    harness.participants.when("book-flight", rejects())
    trip = await begin(harness, habits.StuckTwice)
    await harness.wait_for_status(trip, "stuck")
    await trip.signal("go")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED, nth=2)
    await harness.wait_for_event(trip, TASK_COMPLETED, nth=5)

    await harness.retry_stuck(trip)
    await harness.wait_for_event(trip, TIMER_STARTED)

    assert (await harness.current_details(trip)).startswith("**running**")
    await trip.signal("end")
    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
