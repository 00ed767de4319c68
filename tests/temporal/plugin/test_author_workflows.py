"""Sagas in workflows of ordinary authors: with timeouts, tasks and handlers, or with a bug."""

from typing import Any, Protocol
from uuid import uuid4

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.common import RetryPolicy

from sagas._run import task_size_limit
from sagas.operator import SagaClient

from ..fixtures import author_workflows as authors
from ..fixtures.trip_participants import ActivityLatch, fails, rejects
from ..fixtures.trip_plan import Booking, TripPlan
from ..fixtures.worker_harness import WORKFLOWS as USUAL
from ..fixtures.worker_harness import Ending, Handle, WorkerHarness

WORKFLOWS = [*USUAL, *authors.AUTHOR_WORKFLOWS]
SCHEDULED = EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
COMPLETED = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
TASK_COMPLETED = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
TASK_FAILED = EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
TIMER_STARTED = EventType.EVENT_TYPE_TIMER_STARTED


class HasRun(Protocol):
    """A workflow class."""

    async def run(self, plan: TripPlan, /) -> Any: ...


async def begin(harness: WorkerHarness, kind: type[HasRun], *do: str, **plan: Any) -> Handle:
    """Starts a workflow of the given class."""
    workflow_id = f"habit-{uuid4().hex[:8]}"
    harness.workflow_ids.append(workflow_id)
    return await harness.client.start_workflow(
        kind.__name__,
        TripPlan(do=do, **plan),
        id=workflow_id,
        task_queue=harness.task_queue,
        result_type=object,
    )


async def sent(handle: Handle) -> list[bytes]:
    """The serialized messages of the scheduled activities."""
    scheduled = [e.activity_task_scheduled_event_attributes async for e in handle.fetch_history_events()]
    return [each.input.payloads[0].data for each in scheduled if each.activity_id]


async def task_failure(harness: WorkerHarness, handle: Handle) -> str:
    """The failure of the workflow task; terminates the workflow afterwards."""
    failed = await harness.wait_for_event(handle, TASK_FAILED)
    await handle.terminate("the code is not going to be mended")
    root, _, _ = handle.id.partition("/")
    harness.workflow_ids.remove(root)  # a workflow with a failing workflow task fails in replay as well
    return failed.workflow_task_failed_event_attributes.failure.message


@pytest.mark.parametrize("kind", [authors.StepAfterTheBlock, authors.StepBeforeTheBlock])
async def test_a_step_outside_of_the_block_is_refused(harness: WorkerHarness, kind: type[HasRun]) -> None:
    """A step outside of the block would never be compensated."""
    trip = await begin(harness, kind)

    assert "called outside of its saga" in await task_failure(harness, trip)
    assert "book-flight" not in harness.participants.started


async def test_the_end_of_the_block_waits_for_a_running_step(harness: WorkerHarness) -> None:
    """P2: the saga is not completed while an action may still happen."""
    flight = harness.participants.block("book-flight")
    trip = await begin(harness, authors.TaskAtTheEnd)
    await flight.entered.wait()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_TIMER_FIRED)
    await harness.wait_for_event(trip, TASK_COMPLETED, nth=3)
    flight.released.set()

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.log[-1] == "-book-flight"
    assert len([e async for e in trip.fetch_history_events() if e.event_type == COMPLETED]) == 2


async def test_a_cancel_at_the_end_of_the_block_compensates(harness: WorkerHarness) -> None:
    """P6: a cancel takes effect while the block waits for a running step."""
    flight = harness.participants.block("book-flight")
    trip = await begin(harness, authors.TaskAtTheEnd)
    await flight.entered.wait()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_TIMER_FIRED)
    await trip.cancel()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
    flight.released.set()

    assert await harness.wait_for_ending(trip) == Ending("CANCELED", "compensated")
    assert harness.participants.started[2:] == ["cancel-flight", "cancel-hotel"]


async def test_a_handler_runs_a_step_of_the_saga(harness: WorkerHarness) -> None:
    """The saga compensates the step of a handler like any other step."""
    trip = await begin(harness, authors.StepInAHandler)
    await harness.wait_for_event(trip, COMPLETED)

    assert await trip.execute_update("add", "flight") == "flight"
    await trip.signal("go")

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started[2:] == ["cancel-flight", "cancel-hotel"]


async def test_two_branches_wait_for_the_same_event(harness: WorkerHarness) -> None:
    """Each of the two branches consumes an event."""
    trip = await begin(harness, authors.TwoWaitersForOneEvent)
    await harness.wait_for_event(trip, TIMER_STARTED, nth=2)
    await trip.signal("visa", TripPlan(do=(), name="one"))
    await harness.wait_for_event(trip, TASK_COMPLETED, nth=2)
    await trip.signal("visa", TripPlan(do=(), name="two"))

    assert (await harness.wait_for_ending(trip)).result == ["one", "two"]


async def test_a_cancel_reaches_a_saga_whose_children_were_gathered(harness: WorkerHarness) -> None:
    """P6: a cancel compensates the children in any order of their starts."""
    trip = await begin(harness, authors.ChildrenByGather)
    await harness.wait_for_event(trip, TIMER_STARTED)
    await trip.cancel()

    assert await harness.wait_for_ending(trip) == Ending("CANCELED", "compensated")


async def queues(handle: Handle) -> dict[str, str]:
    """The task queue of each compensation of a workflow."""
    scheduled = [
        event.activity_task_scheduled_event_attributes
        async for event in handle.fetch_history_events()
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    ]
    return {each.activity_id: each.task_queue.name for each in scheduled if "compensate" in each.activity_id}


async def test_a_child_is_compensated_on_its_own_workers(harness: WorkerHarness) -> None:
    """P7: compensations of a child go to the child's workers, also in a rescue or after an interruption."""
    here, there = harness.task_queue, f"{harness.task_queue}-office"
    # Every worker imports each workflow class into a sandbox.
    harness.workflows = [authors.ParentAcrossQueues, authors.ChildOnOtherQueue, authors.OneStepChild]
    await harness.start_worker(there)
    await harness.start_worker(authors.GARAGE, workflows=False)
    expected = {
        "compensate.office:book-car": authors.GARAGE,
        "compensate.office/one-step:book-hotel": there,
        "compensate.office:book-flight": there,
        "compensate.book-hotel": here,
    }

    trip = await begin(harness, authors.ParentAcrossQueues, there)
    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert await queues(trip) == expected

    interrupted = await begin(harness, authors.ParentAcrossQueues, there, "wait")
    office = harness.child_of(interrupted, "office")
    await harness.wait_for_event(interrupted, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await harness.wait_for_event(office, TIMER_STARTED)
    await office.terminate("interrupted")
    await harness.wait_for_status(interrupted, "stuck")
    await interrupted.terminate("interrupted")
    rescue = await SagaClient(harness.client).rescue(interrupted.id, by="mia", because="by mistake")
    rescuer = harness.client.get_workflow_handle(rescue.workflow_id)
    await rescuer.result()
    assert await queues(interrupted) | await queues(rescuer) == expected


async def test_a_compensation_gets_message_and_result_unchanged(harness: WorkerHarness) -> None:
    """P4: later changes of the same objects in the workflow do not reach the compensation."""
    trip = await begin(harness, authors.MutatesItsMessages)

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    action, compensation = await sent(trip)
    assert action == compensation
    assert harness.participants.results == [Booking(number="book-hotel-1")]


async def test_a_pivot_is_tried_again_with_the_same_message(harness: WorkerHarness) -> None:
    """P3: a participant takes the same key with another message for another request."""
    latch = ActivityLatch()

    async def block_then_fail() -> object:
        await latch.block()
        return await fails()()

    harness.participants.when("pay", block_then_fail)
    trip = await begin(harness, authors.MutatesItsMessages, "pay")
    await latch.entered.wait()

    await trip.signal("change")
    latch.released.set()

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    _, first, second = await sent(trip)
    assert first == second


@pytest.mark.parametrize("notifications", [1, 2])
async def test_a_saga_that_continues_as_new_notifies_once(harness: WorkerHarness, notifications: int) -> None:
    """P3: each run declares the steps after compensation again; two equal declarations of a run are two."""
    trip = await begin(harness, authors.NotifiesInEachRun, "again", "again", *["tell"] * notifications)

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started.count("tell-customer") == notifications


async def test_a_saga_does_not_continue_with_an_unreadable_state(harness: WorkerHarness) -> None:
    """P7: the next run could not compensate, and a parent would take the failed child for compensated."""
    trip = await begin(harness, authors.WrongStateTypeParent)

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "DefinitionError")
    assert harness.participants.started == ["book-flight", "book-hotel", "cancel-hotel", "cancel-flight"]


async def test_a_saga_does_not_continue_with_missing_arguments(harness: WorkerHarness) -> None:
    """P7: Temporal would pass a dict to the next run, where the first run got a model."""
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
async def test_large_messages_are_spread_over_several_tasks(harness: WorkerHarness, what: str) -> None:
    """P7: Temporal terminates a workflow when the commands of a workflow task exceed 4 MiB."""
    trip = await begin(harness, authors.LargeParallelMessages, what)

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "Planned")
    booked, cancelled = harness.participants.started[:6], harness.participants.started[6:]
    assert [each.replace("book", "cancel") for each in booked] == cancelled


@pytest.mark.parametrize("what", ["steps", "children"])
async def test_a_cancel_withdraws_steps_that_wait_for_a_task(
    harness: WorkerHarness, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P4: a withdrawn step never happened and needs no compensation; the scheduled steps are compensated."""
    monkeypatch.setattr(task_size_limit, "NEXT_TASK", authors.HOUR)
    trip = await begin(harness, authors.LargeParallelMessages, what)
    await harness.wait_for_event(trip, TIMER_STARTED)

    await trip.cancel()

    assert (await harness.wait_for_ending(trip)).closed == "CANCELED"
    booked, cancelled = harness.participants.started[:3], harness.participants.started[3:]
    assert [each.replace("book", "cancel") for each in booked] == cancelled


@pytest.mark.parametrize(("what", "code"), [("large", "message_too_large"), ("two", "DefinitionError")])
async def test_a_wedging_plain_activity_is_refused(harness: WorkerHarness, what: str, code: str) -> None:
    """P7: a refused activity is not scheduled, and the saga compensates; an id may be used again later."""
    trip = await begin(harness, authors.PlainActivities, what)

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", code)
    assert harness.participants.started[-1] == "cancel-hotel"
    assert harness.participants.started.count("book-car") == (0 if what == "large" else 3)


async def test_an_abandoned_activity_is_refused_after_the_block_as_well(
    harness: WorkerHarness,
) -> None:
    """P7: a wedged child could not report the pending compensations to the parent."""
    trip = await begin(harness, authors.PlainActivities, "late")

    assert "ABANDON" in await task_failure(harness, trip)


async def test_a_timeout_does_not_abandon_the_pivot(harness: WorkerHarness) -> None:
    """P6: a pivot with unknown outcome may have happened, and is retried until the outcome is known."""
    harness.participants.when("pay", fails())

    trip = await begin(harness, authors.PivotInTimeout)

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started == ["book-hotel", "pay", "pay"]


@pytest.mark.parametrize("kind", [authors.SagaInTimeout, authors.SagaInWaitFor])
async def test_a_timeout_does_not_stop_a_compensation(harness: WorkerHarness, kind: type[HasRun]) -> None:
    """P7: a timeout does not even stop a stuck compensation."""
    harness.participants.when("cancel-hotel", rejects())
    trip = await begin(harness, kind)
    await harness.wait_for_status(trip, "stuck")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_TIMER_FIRED)
    await harness.wait_for_event(trip, TASK_COMPLETED, nth=4)

    await harness.retry_stuck(trip)

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started[1:] == ["cancel-hotel", "cancel-hotel"]


async def test_a_timeout_does_not_end_a_step_after_the_pivot(harness: WorkerHarness) -> None:
    """The saga retries a step after the pivot until the step is done."""
    harness.participants.when("send-ticket", rejects())
    trip = await begin(harness, authors.StepAfterPivotInTimeout)
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_TIMER_FIRED)
    await harness.wait_for_event(trip, TASK_COMPLETED, nth=4)

    await harness.retry_stuck(trip)

    ending = await harness.wait_for_ending(trip)
    assert (ending.closed, ending.saga) == ("COMPLETED", "completed")
    assert harness.participants.started == ["pay", "send-ticket", "send-ticket"]


async def test_branches_do_not_outlive_a_timeout(harness: WorkerHarness) -> None:
    """No step of a timed-out branch starts after the following pivot."""
    trip = await begin(harness, authors.BranchesInTimeout)
    await harness.wait_for_event(trip, COMPLETED, nth=3)
    await trip.signal("go")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert "book-flight" not in harness.participants.started


async def test_a_timeout_of_branches_waits_for_their_running_steps(harness: WorkerHarness) -> None:
    """P6: the following pivot must not overtake a running step."""
    look = harness.participants.block("look-around")
    trip = await begin(harness, authors.BranchesInTimeout)
    fired = await harness.wait_for_event(trip, EventType.EVENT_TYPE_TIMER_FIRED)
    await harness.wait_for_event(trip, TASK_COMPLETED, after=fired.event_id)
    scheduled = [e async for e in trip.fetch_history_events() if e.event_type == SCHEDULED]

    look.released.set()

    assert len(scheduled) == 2
    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started[2:] == ["pay"]


async def test_a_workflow_does_not_end_before_its_saga(harness: WorkerHarness) -> None:
    """P7: pending compensations would be lost, therefore the workflow task fails until the code is fixed."""
    trip = await begin(harness, authors.SagaInATask)
    await harness.wait_for_event(trip, COMPLETED)
    await trip.cancel()

    assert "before its saga" in await task_failure(harness, trip)


async def test_a_child_without_a_saga_in_the_last_run_is_compensated(harness: WorkerHarness) -> None:
    """P7: the parent compensates the steps of earlier runs of the child."""
    trip = await begin(harness, authors.NoSagaInSecondRunParent)

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_a_plain_continue_as_new_is_refused(harness: WorkerHarness) -> None:
    """P7: the next run would not know the pending compensations."""
    trip = await begin(harness, authors.PlainContinue)

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "DefinitionError")
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_a_child_that_fails_after_a_local_activity_is_unknown(harness: WorkerHarness) -> None:
    """P8: the outcome of the child is unknown, as after any other activity without a saga."""
    trip = await begin(harness, authors.LocalActivityWithoutSagaParent)

    await harness.wait_for_status(trip, "stuck")


async def test_a_pivot_in_a_task_of_its_own_is_refused(harness: WorkerHarness) -> None:
    """P6: an error beside the pivot would compensate steps that the pivot has made final."""
    trip = await begin(harness, authors.PivotInATask)

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "DefinitionError")
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


@pytest.mark.parametrize("where", ["text", "details", "cause"])
async def test_a_too_long_error_is_shortened(harness: WorkerHarness, where: str) -> None:
    """P1: Temporal would wedge the workflow although the status of the saga is final."""
    trip = await begin(harness, authors.LargeError, where)

    assert (await harness.wait_for_ending(trip)).saga == "compensated"


async def test_a_child_with_too_large_compensations_compensates_itself(harness: WorkerHarness) -> None:
    """P1: Temporal would wedge the child, and the parent would wait for ever."""
    trip = await begin(harness, authors.LargeCompensationsParent)

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "message_too_large")
    assert harness.participants.started[4:] == [*["cancel-hotel"] * 3, "cancel-car"]


async def test_a_too_large_result_is_refused_by_the_sdk(
    harness: WorkerHarness,
) -> None:
    """P8: the workflow task fails with an instruction until the code returns a smaller result."""
    trip = await begin(harness, authors.LargeResult)

    failure = await task_failure(harness, trip)

    assert "the result of the workflow has 2100" in failure
    assert "return less" in failure


async def test_a_retry_policy_of_the_workflow_is_refused(harness: WorkerHarness) -> None:
    """P6: the next run would compensate the completed steps of the run before, under the same keys."""
    trip = await harness.client.start_workflow(
        authors.OneStepChild.run,
        TripPlan(do=()),
        id=f"retried-{uuid4().hex[:8]}",
        task_queue=harness.task_queue,
        retry_policy=RetryPolicy(maximum_attempts=3),
    )
    harness.workflow_ids.append(trip.id)

    assert (await harness.wait_for_ending(trip)).code == "SagaRefused"
    assert harness.participants.started == []


async def test_a_cron_schedule_is_refused(harness: WorkerHarness) -> None:
    """P3: the second run would have the keys of the first run, and no effect."""
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


async def test_a_saga_is_stuck_as_long_as_any_step_is(harness: WorkerHarness) -> None:
    """P1: the saga leaves the state stuck together with the last stuck step."""
    harness.participants.when("book-car", rejects())
    harness.participants.when("book-flight", rejects())
    trip = await begin(harness, authors.StuckTwice)
    await harness.wait_for_status(trip, "stuck")
    await trip.signal("go")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED, nth=2)
    await harness.wait_for_event(trip, TASK_COMPLETED, nth=5)

    await harness.retry_stuck(trip)
    await harness.wait_for_event(trip, TIMER_STARTED)

    assert (await harness.current_details(trip)).startswith("**running**")
    await trip.signal("end")
    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
