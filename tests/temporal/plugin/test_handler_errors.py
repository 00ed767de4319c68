"""Errors in signal and update handlers never close a workflow whose saga has pending compensations."""

from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateStage
from temporalio.exceptions import ApplicationError

from sagas.operator import HOLD, RESUME, OperatorRequest, SagaClient

from ..fixtures import handler_workflows as handlers
from ..fixtures.trip_participants import ActivityLatch, rejects
from ..fixtures.trip_plan import TripPlan
from ..fixtures.worker_harness import WORKFLOWS as USUAL
from ..fixtures.worker_harness import Ending, Handle, WorkerHarness
from .test_author_workflows import begin, task_failure

WORKFLOWS = [*USUAL, *handlers.HANDLER_WORKFLOWS]
COMPLETED = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
CHILD_STARTED = EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED
CANCEL_INITIATED = EventType.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED
SIGNALED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
TASK_COMPLETED = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
TIMER_STARTED = EventType.EVENT_TYPE_TIMER_STARTED
MIA = OperatorRequest(by="mia", because="a call from the customer")


async def with_child(harness: WorkerHarness, kind: str) -> tuple[Handle, Handle]:
    """A parent, and a waiting child of the given kind with a done step."""
    trip = await begin(harness, handlers.HandlerWorkflowParent, kind)
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(trip, CHILD_STARTED)
    await harness.wait_for_event(child, COMPLETED)
    await harness.wait_for_event(child, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, nth=2)
    return trip, child


async def with_a_running_step(
    harness: WorkerHarness, kind: type[Any], *do: str
) -> tuple[Handle, ActivityLatch]:
    """A saga with a done step of the block, and a latch that blocks the step of a handler."""
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
async def test_a_failing_signal_compensates_the_saga(harness: WorkerHarness, signal: str, code: str) -> None:
    """P4: the saga compensates as if the block had raised the error."""
    trip = await begin(harness, handlers.WaitsInBlock)
    await harness.wait_for_event(trip, COMPLETED)

    await trip.signal(signal)

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", code)
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_a_step_rejected_in_a_signal_compensates_the_saga(harness: WorkerHarness) -> None:
    """The failure has the code of the rejection; the sender of a signal gets no answer."""
    harness.participants.when("book-car", rejects())
    trip = await begin(harness, handlers.WaitsInBlock)
    await harness.wait_for_event(trip, COMPLETED)

    await trip.signal("do", "car")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "sold_out")
    assert harness.participants.started == ["book-hotel", "book-car", "cancel-hotel"]


async def test_a_cancel_during_the_step_of_a_signal_compensates_it(harness: WorkerHarness) -> None:
    """P6: the end of the handler is not the end of the workflow."""
    car = harness.participants.block("book-car")
    trip = await begin(harness, handlers.WaitsInBlock)
    await harness.wait_for_event(trip, COMPLETED)
    await trip.signal("do", "car")
    await car.entered.wait()

    await trip.cancel()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
    car.released.set()

    assert await harness.wait_for_ending(trip) == Ending("CANCELED", "compensated")
    assert harness.participants.started[2:] == ["cancel-car", "cancel-hotel"]


@pytest.mark.parametrize("ending_by", ["cancel", "fail"])
@pytest.mark.parametrize(
    ("begins", "is_held"), [("visit", False), ("visit", True), ("visit_beside", True)], ids=str
)
async def test_a_child_of_a_handler_is_cancelled_when_its_saga_compensates(
    harness: WorkerHarness, begins: str, ending_by: str, *, is_held: bool
) -> None:
    """P2: the end of a handler is not the end of the workflow; a held child would otherwise stay held."""
    trip = await begin(harness, handlers.WaitsInBlock)
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

    await (trip.cancel() if ending_by == "cancel" else trip.signal("fail"))

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert await harness.wait_for_ending(child) == Ending("CANCELED", "compensated")
    assert harness.participants.started[3:] == ["cancel-flight", "cancel-car", "cancel-hotel"]


async def test_a_starting_child_of_a_handler_is_cancelled_when_its_saga_compensates(
    harness: WorkerHarness,
) -> None:
    """P2: the start of a child cannot be withdrawn."""
    latch = ActivityLatch()

    async def block_and_reject() -> object:
        await latch.block()
        return await rejects()()

    harness.participants.when("book-hotel", block_and_reject)
    await harness.stop_workers()
    await harness.start_worker(workflows=False)
    worker = await harness.start_worker(activities=False)
    trip = await begin(harness, handlers.WaitsInBlock)
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
    """Each cancel is an event in both histories, also when the cancel comes while the child starts."""
    trip = await begin(harness, handlers.WaitsInBlock)
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


@pytest.mark.parametrize("ending_by", ["cancel", "fail"])
async def test_a_child_of_a_handler_that_has_just_completed_is_compensated(
    harness: WorkerHarness, ending_by: str
) -> None:
    """P2: the parent compensates the child in the child's place, although cancel and result come together."""
    await harness.stop_workers()
    near = await harness.start_worker()
    far = f"{harness.task_queue}-far"
    await harness.start_worker(far)
    trip = await begin(harness, handlers.WaitsInBlock)
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
    await (trip.cancel() if ending_by == "cancel" else trip.signal("fail"))

    await harness.start_worker()

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started[3:] == ["cancel-car", "cancel-flight", "cancel-hotel"]
    assert harness.participants.keys["cancel-flight"] == harness.participants.keys["book-flight"]


async def test_a_step_requested_while_the_saga_compensates_is_ignored(harness: WorkerHarness) -> None:
    """P7: the sender cannot know the state of the saga, and must not wedge the pending compensations."""
    latch = harness.participants.block("cancel-hotel")
    trip = await begin(harness, handlers.WaitsInBlock)
    await harness.wait_for_event(trip, COMPLETED)
    await trip.signal("fail")
    await latch.entered.wait()

    await trip.signal("do", "flight")
    with pytest.raises(WorkflowUpdateFailedError):
        await trip.execute_update("add", "flight")
    latch.released.set()

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_a_step_held_when_the_saga_starts_compensating_is_ignored(harness: WorkerHarness) -> None:
    """The hold is over as well: a resume is refused."""
    latch = harness.participants.block("cancel-hotel")
    trip = await begin(harness, handlers.WaitsInBlock)
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


@pytest.mark.parametrize("is_rejected", [False, True])
async def test_a_step_of_a_handler_waits_for_a_running_pivot(
    harness: WorkerHarness, *, is_rejected: bool
) -> None:
    """After a done pivot the step is retried until done; after a rejected pivot the step is ignored."""
    latch = ActivityLatch()

    async def block_and_reject() -> object:
        await latch.block()
        return await rejects()()

    harness.participants.when("pay", block_and_reject if is_rejected else latch.block)
    trip = await begin(harness, handlers.WaitsInBlock, "pay")
    await latch.entered.wait()
    await trip.signal("do", "flight")
    signaled = await harness.wait_for_event(trip, SIGNALED)
    await harness.wait_for_event(trip, TASK_COMPLETED, after=signaled.event_id)
    assert harness.participants.started == ["book-hotel", "pay"]

    latch.released.set()
    if not is_rejected:
        await harness.wait_for_event(trip, COMPLETED, nth=3)
        await trip.signal("go")

    assert (await harness.wait_for_ending(trip)).closed == ("FAILED" if is_rejected else "COMPLETED")
    assert harness.participants.started[2:] == (["cancel-hotel"] if is_rejected else ["book-flight"])


async def test_a_child_of_a_handler_after_the_pivot_is_ignored(harness: WorkerHarness) -> None:
    """A child may fail, but no step after the pivot; the sender does not know the state of the saga."""
    trip = await begin(harness, handlers.WaitsInBlock, "pay")
    await harness.wait_for_event(trip, COMPLETED, nth=2)

    await trip.signal("send")
    await trip.signal("go")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started == ["book-hotel", "pay"]


async def test_the_pivot_waits_for_a_running_step_of_a_handler(harness: WorkerHarness) -> None:
    """The saga does not fail because of the step: no sender of a signal knows the state of the saga."""
    trip, flight = await with_a_running_step(harness, handlers.WaitsInBlock, "pay")
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
    """A step that was requested while the block was open is not too late."""
    pay = harness.participants.block("pay")
    trip = await begin(harness, handlers.PivotIsLast)
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
    """A held step is delayed, and not refused as too late."""
    trip = await begin(harness, handlers.WaitsInBlock)
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
    """Saga and step may resume at the same moment, and the requested step is not lost."""
    hotel = harness.participants.block("book-hotel")
    trip = await begin(harness, handlers.WaitsBeforeBlock)
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
    """The pivot and a new run wait for branches as for single steps."""
    hotel, flight = harness.participants.block("book-hotel"), harness.participants.block("book-flight")
    trip = await begin(harness, handlers.PivotIsLast if then == "pivot" else handlers.WaitsBeforeBlock)
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
    """The running steps end first, and the next run compensates the steps."""
    hotel = harness.participants.block("book-hotel")
    trip = await begin(harness, handlers.ParallelThenWaits)
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
    """The caller gets an error and the saga goes on; Temporal would retry the workflow task without end."""
    trip = await begin(harness, handlers.WaitsInBlock)
    await harness.wait_for_event(trip, COMPLETED)

    with pytest.raises(WorkflowUpdateFailedError) as failed:
        await trip.execute_update("again_at_once")
    assert "in the handler of an update" in str(failed.value.cause)
    await trip.signal("go")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


async def test_a_saga_continues_as_new_after_a_running_step_of_a_handler(
    harness: WorkerHarness,
) -> None:
    """The saga does not fail because of the step, and the next run can compensate the step."""
    trip, flight = await with_a_running_step(harness, handlers.WaitsBeforeBlock)

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
async def test_a_signal_that_does_not_fit_the_handler_is_ignored(
    harness: WorkerHarness, signal: str, content: list[object], caplog: pytest.LogCaptureFixture
) -> None:
    """P19: Temporal would retry the workflow task without end, and the saga would never compensate."""
    trip = await begin(harness, handlers.WaitsInBlock)
    await harness.wait_for_event(trip, COMPLETED)

    await trip.signal(signal, args=content)
    await trip.signal("plan", TripPlan(do=("go",)))

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started == ["book-hotel"]
    assert any(f"signal {signal!r} was ignored: " in line for line in caplog.messages)


@pytest.mark.parametrize(
    ("kind", "signal", "content"),
    [
        (handlers.WaitsInBlock, "hint", [TripPlan(do=())]),
        (handlers.WaitsInBlock, "adorned", [TripPlan(do=())]),
        (handlers.WaitsInBlock, "plan", [None]),
        (handlers.ReplacedHandler, "do", ["car", "car"]),
    ],
    ids=["default", "decorator", "null", "set"],
)
async def test_a_signal_that_plain_temporal_takes_is_taken(
    harness: WorkerHarness, kind: type[Any], signal: str, content: list[object]
) -> None:
    """Histories from before the plugin are replayed as ever."""
    trip = await begin(harness, kind)
    await harness.wait_for_event(trip, COMPLETED)

    await trip.signal(signal, args=content)

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


@pytest.mark.parametrize(("update", "content"), [("add", []), ("add", ["car", "car"]), ("has", [])])
async def test_an_update_that_does_not_fit_the_handler_is_refused(
    harness: WorkerHarness, update: str, content: list[object]
) -> None:
    """P19: the caller gets a refusal with a readable message, and the saga goes on."""
    trip = await begin(harness, handlers.WaitsInBlock)
    await harness.wait_for_event(trip, COMPLETED)

    with pytest.raises(WorkflowUpdateFailedError) as failed:
        await trip.execute_update(update, args=content)
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == "SagaRefused"
    assert failed.value.cause.message.startswith(f"update {update!r} is refused: ")
    await trip.signal("go")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


async def test_a_child_whose_signal_fails_compensates_before_its_parent(
    harness: WorkerHarness,
) -> None:
    """P2: the parent has no pending compensations of the child."""
    trip, child = await with_child(harness, "listener")

    await child.signal("fail")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "Bad")
    assert harness.participants.started[2:] == ["cancel-hotel", "cancel-flight"]


async def test_a_signal_that_fails_after_the_pivot_changes_nothing(
    harness: WorkerHarness, caplog: pytest.LogCaptureFixture
) -> None:
    """P6: a failing signal handler has no more effect than a cancel; a log line records the failure."""
    trip = await begin(harness, handlers.WaitsInBlock, "pay")
    await harness.wait_for_event(trip, COMPLETED, nth=2)

    await trip.signal("fail")
    await harness.wait_for_event(trip, SIGNALED)
    await trip.signal("go")

    assert (await harness.wait_for_ending(trip)).result == "done"
    assert harness.participants.started == ["book-hotel", "pay"]
    assert any("signal 'fail' has failed" in line for line in caplog.messages)


async def test_a_signal_that_fails_in_a_child_after_its_saga_fails_the_task(harness: WorkerHarness) -> None:
    """P7: the parent would take the failed child for a compensated child."""
    trip, child = await with_child(harness, "late")

    await child.signal("fail")

    assert "after its saga was completed" in await task_failure(harness, child)
    await trip.terminate("nor is that of its child")


async def test_a_signal_that_fails_before_the_block_of_a_later_run(harness: WorkerHarness) -> None:
    """P7: the steps of earlier runs are compensated as soon as the block starts again."""
    trip = await begin(harness, handlers.WaitsBeforeBlock)
    trip = await harness.wait_for_next_run(trip)

    await trip.signal("fail")
    await harness.wait_for_event(trip, SIGNALED)
    await trip.signal("go")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "Bad")
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


@pytest.mark.parametrize("handler", ["signal", "update"])
async def test_a_step_requested_after_the_saga_is_refused(harness: WorkerHarness, handler: str) -> None:
    """P19: a sender outside cannot know that the saga has ended, and must not wedge the workflow."""
    trip = await begin(harness, handlers.WaitsAfterBlock)
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


async def test_a_step_rejected_in_an_update_fails_the_update(harness: WorkerHarness) -> None:
    """The caller of the update gets the reason, and the saga goes on."""
    harness.participants.when("book-car", rejects())
    trip = await begin(harness, handlers.WaitsInBlock)
    await harness.wait_for_event(trip, COMPLETED)

    with pytest.raises(WorkflowUpdateFailedError) as failed:
        await trip.execute_update("add", "car")
    await trip.signal("go")

    assert isinstance(failed.value.cause, ApplicationError)
    assert (failed.value.cause.type, failed.value.cause.details[0]) == ("Rejected", "sold_out")
    assert (await harness.wait_for_ending(trip)).result == "done"


async def test_a_child_that_closes_with_a_bug_leaves_its_parent_stuck(harness: WorkerHarness) -> None:
    """P8: a child with `failure_exception_types` closes with a bug instead of waiting for fixed code."""
    trip = await begin(harness, handlers.HandlerWorkflowParent, "strict")

    await harness.wait_for_status(trip, "stuck")

    assert harness.participants.started == ["book-flight", "book-hotel", "cancel-flight"]


async def test_a_child_that_closes_because_of_changed_code_is_unknown(
    harness: WorkerHarness,
) -> None:
    """P8: the effects of the child still exist, and the parent becomes stuck."""
    trip, child = await with_child(harness, "changed")
    await harness.stop_workers()
    harness.workflows = [
        handlers.AfterChange if kind is handlers.BeforeChange else kind for kind in WORKFLOWS
    ]
    await harness.start_worker()

    await child.signal("go")
    await harness.wait_for_status(trip, "stuck")

    harness.workflow_ids.remove(trip.id)  # the child fails in replay because of the changed code

    assert harness.participants.started == ["book-flight", "book-hotel", "cancel-flight"]
    story = await SagaClient(harness.client).show(trip.id)
    assert [each.state for each in story.steps[1].compensations] == ["pending"]
    await trip.terminate("the test is over")
