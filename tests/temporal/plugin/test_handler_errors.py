"""What a workflow's own handlers raise does not close it over the head of its saga."""

from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateStage
from temporalio.exceptions import ApplicationError

from sagas.operator import HOLD, RESUME, OperatorRequest, SagaClient

from ..fixtures import handler_workflows as listeners
from ..fixtures.trip_participants import ActivityLatch, rejects
from ..fixtures.trip_plan import TripPlan
from ..fixtures.worker_harness import WORKFLOWS as USUAL
from ..fixtures.worker_harness import Ending, Handle, WorkerHarness
from .test_author_workflows import begin, task_failure

WORKFLOWS = [*USUAL, *listeners.HANDLER_WORKFLOWS]
COMPLETED = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
CHILD_STARTED = EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED
CANCEL_INITIATED = EventType.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED
SIGNALED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
TASK_COMPLETED = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
TIMER_STARTED = EventType.EVENT_TYPE_TIMER_STARTED
MIA = OperatorRequest(by="mia", because="a call from the customer")


async def with_child(harness: WorkerHarness, kind: str) -> tuple[Handle, Handle]:
    """A parent, and its child of this kind, which has done its step and waits."""
    trip = await begin(harness, listeners.HandlerWorkflowParent, kind)
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(trip, CHILD_STARTED)
    await harness.wait_for_event(child, COMPLETED)
    await harness.wait_for_event(child, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, nth=2)
    return trip, child


async def with_a_step_under_way(
    harness: WorkerHarness, kind: type[Any], *do: str
) -> tuple[Handle, ActivityLatch]:
    """A saga that has done its own step, and a gate that holds the step of its handler."""
    hotel, flight = harness.participants.block("book-hotel"), harness.participants.block("book-flight")
    trip = await begin(harness, kind, *do)
    await hotel.entered.wait()
    await trip.signal("do", "flight")
    await flight.entered.wait()
    hotel.released.set()
    done = await harness.wait_for_event(trip, COMPLETED)
    await harness.wait_for_event(trip, TASK_COMPLETED, after=done.event_id)
    return trip, flight


@pytest.mark.parametrize(("signal", "code"), [("fail", "Bad"), ("misread", "ValidationError")])
async def test_a_signal_that_fails_has_its_saga_compensate(
    harness: WorkerHarness, signal: str, code: str
) -> None:
    """P4: as if the block had raised it."""
    trip = await begin(harness, listeners.WaitsInBlock)
    await harness.wait_for_event(trip, COMPLETED)

    await trip.signal(signal)

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", code)
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_a_step_that_is_refused_in_a_signal_has_its_saga_compensate(harness: WorkerHarness) -> None:
    """With the code of the refusal; nobody else would hear of it."""
    harness.participants.when("book-car", rejects())
    trip = await begin(harness, listeners.WaitsInBlock)
    await harness.wait_for_event(trip, COMPLETED)

    await trip.signal("do", "car")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "sold_out")
    assert harness.participants.started == ["book-hotel", "book-car", "cancel-hotel"]


async def test_a_cancel_during_the_step_of_a_signal_compensates_it(harness: WorkerHarness) -> None:
    """P6: the handler's end is not that of the workflow."""
    car = harness.participants.block("book-car")
    trip = await begin(harness, listeners.WaitsInBlock)
    await harness.wait_for_event(trip, COMPLETED)
    await trip.signal("do", "car")
    await car.entered.wait()

    await trip.cancel()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
    car.released.set()

    assert await harness.wait_for_ending(trip) == Ending("CANCELED", "compensated")
    assert harness.participants.started[2:] == ["cancel-car", "cancel-hotel"]


@pytest.mark.parametrize("way", ["cancel", "fail"])
@pytest.mark.parametrize(
    ("begins", "is_held"), [("visit", False), ("visit", True), ("visit_beside", True)], ids=str
)
async def test_a_child_of_a_handler_is_cancelled_when_its_saga_turns_round(
    harness: WorkerHarness, begins: str, way: str, *, is_held: bool
) -> None:
    """P2: the end of its task is not that of the workflow, and where it is held, nobody would resume it."""
    trip = await begin(harness, listeners.WaitsInBlock)
    await harness.wait_for_event(trip, COMPLETED)
    await trip.signal(begins, TripPlan(do=("flight", "wait")))
    await harness.wait_for_event(trip, CHILD_STARTED)
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(child, COMPLETED)
    await trip.signal("do", "car")
    await harness.wait_for_event(trip, COMPLETED, nth=2)
    if is_held:
        await harness.send_update(trip, HOLD, MIA)
        await harness.wait_for_status(child, "held")

    await (trip.cancel() if way == "cancel" else trip.signal("fail"))

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert await harness.wait_for_ending(child) == Ending("CANCELED", "compensated")
    assert harness.participants.started[3:] == ["cancel-flight", "cancel-car", "cancel-hotel"]


async def test_a_child_of_a_handler_that_is_about_to_start_when_its_saga_turns_round_is_cancelled(
    harness: WorkerHarness,
) -> None:
    """P2: its start cannot be taken back."""
    latch = ActivityLatch()

    async def hold_and_refuse() -> object:
        await latch.block()
        return await rejects()()

    harness.participants.when("book-hotel", hold_and_refuse)
    await harness.stop_workers()
    await harness.start_worker(workflows=False)
    worker = await harness.start_worker(activities=False)
    trip = await begin(harness, listeners.WaitsInBlock)
    await latch.entered.wait()
    await harness.stop_workers(worker)
    await trip.signal("visit", TripPlan(do=("flight", "wait")))
    latch.released.set()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED)

    await harness.start_worker(activities=False)

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "sold_out")
    assert (await harness.wait_for_ending(harness.child_of(trip, "leg"))).closed == "CANCELED"
    assert harness.participants.started.count("book-flight") == harness.participants.started.count(
        "cancel-flight"
    )


async def test_a_child_of_a_handler_is_cancelled_once(harness: WorkerHarness) -> None:
    """Also where its saga was cancelled while it started: each cancel is an event of both."""
    trip = await begin(harness, listeners.WaitsInBlock)
    done = await harness.wait_for_event(trip, COMPLETED)
    await harness.wait_for_event(trip, TASK_COMPLETED, after=done.event_id)
    await harness.stop_workers()
    await trip.signal("visit", TripPlan(do=("flight", "wait")))
    await trip.cancel()
    await harness.start_worker()

    assert await harness.wait_for_ending(trip) == Ending("CANCELED", "compensated")
    kinds = [event.event_type async for event in trip.fetch_history_events()]
    assert kinds.count(CANCEL_INITIATED) == 1
    assert harness.participants.started.count("book-flight") == harness.participants.started.count(
        "cancel-flight"
    )


@pytest.mark.parametrize("way", ["cancel", "fail"])
async def test_what_the_child_of_a_handler_owes_that_has_just_completed_is_made_up_for(
    harness: WorkerHarness, way: str
) -> None:
    """P2: by its parent, in its place, though the cancel comes with its answer."""
    await harness.stop_workers()
    near = await harness.start_worker()
    far = f"{harness.task_queue}-far"
    await harness.start_worker(far)
    trip = await begin(harness, listeners.WaitsInBlock)
    await harness.wait_for_event(trip, COMPLETED)
    await trip.signal("visit", args=[TripPlan(do=("flight", "wait")), far])
    await harness.wait_for_event(trip, CHILD_STARTED)
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(child, COMPLETED)
    await trip.signal("do", "car")
    done = await harness.wait_for_event(trip, COMPLETED, nth=2)
    await harness.wait_for_event(trip, TASK_COMPLETED, after=done.event_id)
    await harness.stop_workers(near)
    await child.signal("go")
    await harness.wait_for_ending(child)
    await (trip.cancel() if way == "cancel" else trip.signal("fail"))

    await harness.start_worker()

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started[3:] == ["cancel-car", "cancel-flight", "cancel-hotel"]
    assert harness.participants.keys["cancel-flight"] == harness.participants.keys["book-flight"]


async def test_a_step_that_comes_while_the_saga_compensates_is_passed_over(harness: WorkerHarness) -> None:
    """P7: whoever asks cannot know that it does, and must not wedge what it owes."""
    latch = harness.participants.block("cancel-hotel")
    trip = await begin(harness, listeners.WaitsInBlock)
    await harness.wait_for_event(trip, COMPLETED)
    await trip.signal("fail")
    await latch.entered.wait()

    await trip.signal("do", "flight")
    with pytest.raises(WorkflowUpdateFailedError):
        await trip.execute_update("add", "flight")
    latch.released.set()

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_a_step_that_was_held_when_the_saga_turned_round_is_passed_over(harness: WorkerHarness) -> None:
    """Nor does anybody end its hold, which is over."""
    latch = harness.participants.block("cancel-hotel")
    trip = await begin(harness, listeners.WaitsInBlock)
    await harness.wait_for_event(trip, COMPLETED)
    await harness.send_update(trip, HOLD, MIA)
    await trip.signal("do", "flight")
    await harness.wait_for_event(trip, TIMER_STARTED)
    await trip.signal("fail")
    await latch.entered.wait()

    assert "not held" in await harness.rejected_update(trip, RESUME, MIA)
    latch.released.set()

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


@pytest.mark.parametrize("is_refused", [False, True])
async def test_a_step_of_a_handler_waits_for_the_pivot_that_is_under_way(
    harness: WorkerHarness, *, is_refused: bool
) -> None:
    """Then it is tried until it is done; where the pivot was refused, it is passed over."""
    latch = ActivityLatch()

    async def hold_and_refuse() -> object:
        await latch.block()
        return await rejects()()

    harness.participants.when("pay", hold_and_refuse if is_refused else latch.block)
    trip = await begin(harness, listeners.WaitsInBlock, "pay")
    await latch.entered.wait()
    await trip.signal("do", "flight")
    signaled = await harness.wait_for_event(trip, SIGNALED)
    await harness.wait_for_event(trip, TASK_COMPLETED, after=signaled.event_id)
    assert harness.participants.started == ["book-hotel", "pay"]

    latch.released.set()
    if not is_refused:
        await harness.wait_for_event(trip, COMPLETED, nth=3)
        await trip.signal("go")

    assert (await harness.wait_for_ending(trip)).closed == ("FAILED" if is_refused else "COMPLETED")
    assert harness.participants.started[2:] == (["cancel-hotel"] if is_refused else ["book-flight"])


async def test_a_child_of_a_handler_that_comes_after_the_pivot_is_passed_over(harness: WorkerHarness) -> None:
    """Nothing may fail there, and who sends the signal does not know where the saga is."""
    trip = await begin(harness, listeners.WaitsInBlock, "pay")
    await harness.wait_for_event(trip, COMPLETED, nth=2)

    await trip.signal("send")
    await trip.signal("go")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started == ["book-hotel", "pay"]


async def test_the_pivot_waits_for_the_step_of_a_handler_that_is_under_way(harness: WorkerHarness) -> None:
    """The saga does not fail for it: nobody who sends a signal knows where it stands."""
    trip, flight = await with_a_step_under_way(harness, listeners.WaitsInBlock, "pay")
    assert harness.participants.started == ["book-hotel", "book-flight"]

    flight.released.set()
    await harness.wait_for_event(trip, COMPLETED, nth=3)
    await trip.signal("go")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started[2:] == ["pay"]


@pytest.mark.parametrize("handler", ["signal", "update"])
async def test_a_step_of_a_handler_that_waits_for_the_last_pivot_is_done(
    harness: WorkerHarness, handler: str
) -> None:
    """Whoever was let in while the block was open does not come too late."""
    pay = harness.participants.block("pay")
    trip = await begin(harness, listeners.PivotIsLast)
    await pay.entered.wait()
    if handler == "signal":
        await trip.signal("do", "flight")
        signaled = await harness.wait_for_event(trip, SIGNALED)
        await harness.wait_for_event(trip, TASK_COMPLETED, after=signaled.event_id)
        pay.released.set()
    else:
        added = await trip.start_update("add", "flight", wait_for_stage=WorkflowUpdateStage.ACCEPTED)
        pay.released.set()
        assert await added.result() == "flight"

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started == ["book-hotel", "pay", "book-flight"]


async def test_a_step_of_a_handler_that_was_held_at_the_end_of_the_block_is_done(
    harness: WorkerHarness,
) -> None:
    """It was told to wait, not that it is too late."""
    trip = await begin(harness, listeners.WaitsInBlock)
    await harness.wait_for_event(trip, COMPLETED)
    await harness.send_update(trip, HOLD, MIA)
    await trip.signal("go")
    await trip.signal("do", "flight")
    signaled = await harness.wait_for_event(trip, SIGNALED, nth=2)
    await harness.wait_for_event(trip, TASK_COMPLETED, after=signaled.event_id)
    await harness.send_update(trip, RESUME, MIA)

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started == ["book-hotel", "book-flight"]


async def test_a_saga_continues_as_new_after_a_step_of_a_handler_that_was_held_with_it(
    harness: WorkerHarness,
) -> None:
    """Both may go on at the same moment, and what is asked for is not lost."""
    hotel = harness.participants.block("book-hotel")
    trip = await begin(harness, listeners.WaitsBeforeBlock)
    await hotel.entered.wait()
    await harness.send_update(trip, HOLD, MIA)
    hotel.released.set()
    done = await harness.wait_for_event(trip, COMPLETED)
    await harness.wait_for_event(trip, TASK_COMPLETED, after=done.event_id)
    await trip.signal("do", "flight")
    signaled = await harness.wait_for_event(trip, SIGNALED)
    await harness.wait_for_event(trip, TASK_COMPLETED, after=signaled.event_id)
    await harness.send_update(trip, RESUME, MIA)

    trip = await harness.wait_for_next_run(trip)
    await trip.signal("fail")
    await trip.signal("go")

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started == ["book-hotel", "book-flight", "cancel-flight", "cancel-hotel"]


@pytest.mark.parametrize("then", ["pivot", "again"])
async def test_the_pivot_and_a_new_run_wait_for_the_branches_of_a_handler(
    harness: WorkerHarness, then: str
) -> None:
    """As they do for its steps."""
    hotel, flight = harness.participants.block("book-hotel"), harness.participants.block("book-flight")
    trip = await begin(harness, listeners.PivotIsLast if then == "pivot" else listeners.WaitsBeforeBlock)
    await hotel.entered.wait()
    await trip.signal("both")
    await flight.entered.wait()
    hotel.released.set()
    done = await harness.wait_for_event(trip, COMPLETED, nth=2)
    await harness.wait_for_event(trip, TASK_COMPLETED, after=done.event_id)
    assert "pay" not in harness.participants.started

    flight.released.set()
    if then == "again":
        trip = await harness.wait_for_next_run(trip)
        await trip.signal("go")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert sorted(harness.participants.started[1:3]) == ["book-car", "book-flight"]


async def test_a_saga_with_branches_continues_as_new_for_a_signal(harness: WorkerHarness) -> None:
    """After the steps that are under way, and its next run owes them."""
    hotel = harness.participants.block("book-hotel")
    trip = await begin(harness, listeners.ParallelThenWaits)
    await hotel.entered.wait()
    await trip.signal("again")
    signaled = await harness.wait_for_event(trip, SIGNALED)
    await harness.wait_for_event(trip, TASK_COMPLETED, after=signaled.event_id)

    hotel.released.set()
    trip = await harness.wait_for_next_run(trip)
    await trip.signal("fail")

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert sorted(harness.participants.started[2:]) == ["cancel-flight", "cancel-hotel"]


async def test_a_saga_does_not_continue_as_new_for_an_update(harness: WorkerHarness) -> None:
    """Temporal would try the workflow's task again without end; who has asked is told, and it goes on."""
    trip = await begin(harness, listeners.WaitsInBlock)
    await harness.wait_for_event(trip, COMPLETED)

    with pytest.raises(WorkflowUpdateFailedError) as failed:
        await trip.execute_update("again_at_once")
    assert "in the handler of an update" in str(failed.value.cause)
    await trip.signal("go")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


async def test_a_saga_continues_as_new_after_the_step_of_a_handler_that_is_under_way(
    harness: WorkerHarness,
) -> None:
    """It does not fail for it either, and its next run owes it."""
    trip, flight = await with_a_step_under_way(harness, listeners.WaitsBeforeBlock)

    flight.released.set()
    trip = await harness.wait_for_next_run(trip)
    await trip.signal("fail")
    await harness.wait_for_event(trip, SIGNALED)
    await trip.signal("go")

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started[2:] == ["cancel-flight", "cancel-hotel"]


@pytest.mark.parametrize(
    ("signal", "content"),
    [("do", []), ("do", ["car", "car"]), ("plan", [])],
)
async def test_a_signal_that_its_handler_does_not_take_is_passed_over(
    harness: WorkerHarness, signal: str, content: list[object], caplog: pytest.LogCaptureFixture
) -> None:
    """P19: Temporal would try the workflow's task again without end, and it would never compensate."""
    trip = await begin(harness, listeners.WaitsInBlock)
    await harness.wait_for_event(trip, COMPLETED)

    await trip.signal(signal, args=content)
    await trip.signal("plan", TripPlan(do=("go",)))

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started == ["book-hotel"]
    assert any(f"signal {signal!r} was ignored: " in line for line in caplog.messages)


@pytest.mark.parametrize(
    ("listener", "signal", "content"),
    [
        (listeners.WaitsInBlock, "hint", [TripPlan(do=())]),
        (listeners.WaitsInBlock, "adorned", [TripPlan(do=())]),
        (listeners.WaitsInBlock, "plan", [None]),
        (listeners.ReplacedHandler, "do", ["car", "car"]),
    ],
    ids=["default", "decorator", "null", "set"],
)
async def test_a_signal_that_plain_temporal_takes_is_taken(
    harness: WorkerHarness, listener: type[Any], signal: str, content: list[object]
) -> None:
    """Histories from before the plugin are replayed as ever."""
    trip = await begin(harness, listener)
    await harness.wait_for_event(trip, COMPLETED)

    await trip.signal(signal, args=content)

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


@pytest.mark.parametrize(("update", "content"), [("add", []), ("add", ["car", "car"]), ("has", [])])
async def test_an_update_that_its_handler_does_not_take_is_refused(
    harness: WorkerHarness, update: str, content: list[object]
) -> None:
    """P19: to who has asked, in a sentence; the saga goes on."""
    trip = await begin(harness, listeners.WaitsInBlock)
    await harness.wait_for_event(trip, COMPLETED)

    with pytest.raises(WorkflowUpdateFailedError) as failed:
        await trip.execute_update(update, args=content)
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == "SagaRefused"
    assert failed.value.cause.message.startswith(f"update {update!r} is refused: ")
    await trip.signal("go")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


async def test_a_child_whose_signal_fails_has_compensated_before_its_parent_hears(
    harness: WorkerHarness,
) -> None:
    """P2: so its parent owes nothing for it."""
    trip, child = await with_child(harness, "listener")

    await child.signal("fail")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "Bad")
    assert harness.participants.started[2:] == ["cancel-hotel", "cancel-flight"]


async def test_a_signal_that_fails_after_the_pivot_changes_nothing(
    harness: WorkerHarness, caplog: pytest.LogCaptureFixture
) -> None:
    """P6: as a cancel would; whoever reads the log knows."""
    trip = await begin(harness, listeners.WaitsInBlock, "pay")
    await harness.wait_for_event(trip, COMPLETED, nth=2)

    await trip.signal("fail")
    await harness.wait_for_event(trip, SIGNALED)
    await trip.signal("go")

    assert (await harness.wait_for_ending(trip)).result == "done"
    assert harness.participants.started == ["book-hotel", "pay"]
    assert any("signal 'fail' has failed" in line for line in caplog.messages)


async def test_a_signal_that_fails_in_a_child_after_its_saga_fails_the_task(harness: WorkerHarness) -> None:
    """P7: its parent would take it for a child that has compensated."""
    trip, child = await with_child(harness, "late")

    await child.signal("fail")

    assert "after its saga was completed" in await task_failure(harness, child)
    await trip.terminate("nor is that of its child")


async def test_a_signal_that_fails_before_the_block_of_a_later_run(harness: WorkerHarness) -> None:
    """P7: what an earlier run has done is made up for as soon as the saga has begun again."""
    trip = await begin(harness, listeners.WaitsBeforeBlock)
    trip = await harness.wait_for_next_run(trip)

    await trip.signal("fail")
    await harness.wait_for_event(trip, SIGNALED)
    await trip.signal("go")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "Bad")
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


@pytest.mark.parametrize("handler", ["signal", "update"])
async def test_a_step_that_comes_after_the_saga_is_refused(harness: WorkerHarness, handler: str) -> None:
    """P19: whoever asks from outside cannot know that it has ended, and must not wedge the workflow."""
    trip = await begin(harness, listeners.WaitsAfterBlock)
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, nth=2)

    if handler == "signal":
        await trip.signal("do", "car")
    else:
        with pytest.raises(WorkflowUpdateFailedError) as failed:
            await trip.execute_update("add", "car")
        assert isinstance(failed.value.cause, ApplicationError)
        assert failed.value.cause.type == "SagaRefused"
    await trip.signal("go")

    assert (await harness.wait_for_ending(trip)).result == "done"
    assert harness.participants.started == ["book-hotel"]


async def test_a_step_that_is_refused_in_an_update_fails_the_update(harness: WorkerHarness) -> None:
    """Whoever has asked is told why; the saga goes on."""
    harness.participants.when("book-car", rejects())
    trip = await begin(harness, listeners.WaitsInBlock)
    await harness.wait_for_event(trip, COMPLETED)

    with pytest.raises(WorkflowUpdateFailedError) as failed:
        await trip.execute_update("add", "car")
    await trip.signal("go")

    assert isinstance(failed.value.cause, ApplicationError)
    assert (failed.value.cause.type, failed.value.cause.details[0]) == ("Rejected", "sold_out")
    assert (await harness.wait_for_ending(trip)).result == "done"


async def test_a_child_that_closes_with_a_bug_leaves_its_parent_stuck(harness: WorkerHarness) -> None:
    """P8: it was told to close with every error, and so cannot wait until its code is mended."""
    trip = await begin(harness, listeners.HandlerWorkflowParent, "strict")

    await harness.wait_for_status(trip, "stuck")

    assert harness.participants.started == ["book-flight", "book-hotel", "cancel-flight"]


async def test_a_child_that_closes_as_its_code_has_changed_leaves_its_parent_stuck(
    harness: WorkerHarness,
) -> None:
    """P8: what it has done is still there."""
    trip, child = await with_child(harness, "changed")
    await harness.stop_workers()
    harness.workflows = [
        listeners.AfterChange if kind is listeners.BeforeChange else kind for kind in WORKFLOWS
    ]
    await harness.start_worker()

    await child.signal("go")
    await harness.wait_for_status(trip, "stuck")

    harness.workflow_ids.remove(trip.id)  # what its child has done fails in replay

    assert harness.participants.started == ["book-flight", "book-hotel", "cancel-flight"]
    story = await SagaClient(harness.client).show(trip.id)
    assert [each.state for each in story.steps[1].compensations] == ["pending"]
    await trip.terminate("nobody is going to tell")
