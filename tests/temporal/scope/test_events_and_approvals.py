"""External events, approvals and deadlines."""

from contextlib import suppress
from datetime import UTC, timedelta

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowUpdateFailedError

from sagas import ApprovalDecision, DeadlineExceededError, OnFailure, Saga
from sagas.operator import APPROVE, HOLD, ApproveRequest

from ..fixtures.trip_participants import ActivityLatch
from ..fixtures.trip_plan import Booking, TripPlan
from ..fixtures.worker_harness import WORKFLOWS as USUAL
from ..fixtures.worker_harness import Ending, Handle, WorkerHarness

# Tests of cancels, pivots and children cover the cache; here, each workflow task is a replay.
pytestmark = pytest.mark.parametrize("harness", [0], indirect=True, ids=["evicted"])

TIMER_STARTED = EventType.EVENT_TYPE_TIMER_STARTED
VISA = Booking(number="v-7")


# The sandbox would import this file again for each worker.
@workflow.defn(sandboxed=False)
class ApprovalSaga:
    """Returns the decision about an approval."""

    @workflow.run
    async def run(self) -> ApprovalDecision:
        async with Saga() as saga:
            return await saga.approval("big-trip", role="boss")


@workflow.defn(sandboxed=False)
class EmptyEventsSaga:
    """Waits for two external events without content."""

    @workflow.run
    async def run(self) -> None:
        async with Saga() as saga:
            nod = saga.expect("nod", type(None))
            await saga.wait_for(nod)
            await saga.wait_for(nod)


@workflow.defn(sandboxed=False)
class TwoWaitsSaga:
    """Waits for a visa in two branches; the wait of the first branch times out soon."""

    @workflow.run
    async def run(self, on_failure: OnFailure) -> None:
        async with Saga() as saga:
            visa, nod = saga.expect("visa", Booking), saga.expect("nod", type(None))
            first_wait = saga.wait_for(visa, timeout=timedelta(seconds=0.2))
            with suppress(DeadlineExceededError):
                await saga.parallel(first_wait, saga.wait_for(visa), on_failure=on_failure)
            await saga.wait_for(nod)


WORKFLOWS = [*USUAL, ApprovalSaga, EmptyEventsSaga, TwoWaitsSaga]


async def decide(
    trip: Handle, *, is_approved: bool = True, roles: frozenset[str] = frozenset({"boss"})
) -> str:
    request = ApproveRequest(
        by="mia", because="it is cheap", roles=roles, approval="big-trip", is_approved=is_approved
    )
    status: str = await trip.execute_update(APPROVE, request)
    return status


@pytest.mark.parametrize("way", ["signal", "update"])
@pytest.mark.parametrize("is_early", [True, False], ids=["early", "awaited"])
async def test_an_external_event_lets_the_saga_continue(
    harness: WorkerHarness, way: str, *, is_early: bool
) -> None:
    """A signal or an update carries the event, before the wait of the saga or during the wait."""
    hotel = harness.participants.block("book-hotel")
    trip = await harness.start_trip("hotel", "visa", "look")
    await hotel.entered.wait()
    if not is_early:
        hotel.released.set()
        await harness.wait_for_event(trip, TIMER_STARTED)

    await (trip.signal("visa", VISA) if way == "signal" else trip.execute_update("visa", VISA))
    hotel.released.set()

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started == ["book-hotel", "look-around"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [([], "it is empty"), ([None], "it is null"), ([VISA, VISA], "it has 2 arguments, and takes one")],
    ids=["empty", "null", "two"],
)
async def test_a_malformed_event_is_ignored(
    harness: WorkerHarness, content: list[object], reason: str
) -> None:
    """A malformed signal does not block the saga; a malformed update is refused with the reason."""
    trip = await harness.start_trip("visa", "look")
    await harness.wait_for_event(trip, TIMER_STARTED)

    await trip.signal("visa", args=content)
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await trip.execute_update("visa", args=content)
    assert str(refused.value.cause) == f"SagaRefused: visa is refused: {reason}"
    assert f"visa was ignored: {reason}" in await harness.current_details(trip)
    await trip.signal("visa", VISA)

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


async def test_an_event_may_be_empty(harness: WorkerHarness) -> None:
    """An event of type `None` carries null or no argument."""
    trip = await harness.client.start_workflow(
        EmptyEventsSaga.run, id=f"nod-{harness.task_queue}", task_queue=harness.task_queue
    )
    harness.workflow_ids.append(trip.id)

    await trip.signal("nod")
    await trip.signal("nod", None)

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


@pytest.mark.parametrize("content", [[], ["x", "y"]], ids=str)
async def test_a_malformed_hold_of_a_child_is_ignored(harness: WorkerHarness, content: list[object]) -> None:
    """Any client may send a child the signal of the verb `HOLD`, also with invalid arguments."""
    trip = await harness.start_trip(TripPlan(do=("visa",)))
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    child = harness.child_of(trip, "leg")

    await child.signal(HOLD, args=content)
    await child.signal("visa", VISA)

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


async def test_an_event_past_its_timeout_makes_the_saga_compensate(harness: WorkerHarness) -> None:
    """The timeout of the wait is a business failure, and every done step is compensated."""
    trip = await harness.start_trip("hotel", "visa0.2", "look")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "deadline_exceeded")
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_a_late_event_is_reported_and_kept(harness: WorkerHarness) -> None:
    """A late update is refused; a late signal is shown, and taken by the next wait."""
    trip = await harness.start_trip("anyway-visa0.2", "wait", "visa")
    fired = await harness.wait_for_event(trip, EventType.EVENT_TYPE_TIMER_FIRED)
    # An event in the same workflow task as the timer is not too late.
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, after=fired.event_id)

    assert "too late" in await harness.rejected_update(trip, "visa", VISA)
    await trip.signal("visa", VISA)
    assert "visa came" in await harness.current_details(trip)
    await trip.signal("go")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


async def start_two_waits(harness: WorkerHarness, on_failure: OnFailure) -> Handle:
    """Starts `TwoWaitsSaga`, and waits until the saga has handled the timeout of the first wait."""
    trip = await harness.client.start_workflow(
        TwoWaitsSaga.run, on_failure, id=f"hope-{harness.task_queue}", task_queue=harness.task_queue
    )
    harness.workflow_ids.append(trip.id)
    fired = await harness.wait_for_event(trip, EventType.EVENT_TYPE_TIMER_FIRED)
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, after=fired.event_id)
    return trip


async def test_an_event_is_not_too_late_while_another_branch_waits(harness: WorkerHarness) -> None:
    """The timeout of a wait does not end the waits of other branches."""
    trip = await start_two_waits(harness, OnFailure.FINISH)

    await trip.execute_update("visa", VISA)
    await trip.signal("nod")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


async def test_an_event_is_too_late_after_the_cancel_of_other_branches(harness: WorkerHarness) -> None:
    """No branch waits for the event any more."""
    trip = await start_two_waits(harness, OnFailure.CANCEL)

    assert "visa comes too late: the saga waited until" in await harness.rejected_update(trip, "visa", VISA)
    await trip.signal("nod")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


async def test_an_event_during_the_compensations_is_reported(harness: WorkerHarness) -> None:
    """P14: the update is refused, also before the last action has ended; the signal is reported."""
    flight = harness.participants.block("book-flight")
    hotel = harness.participants.block("cancel-hotel")
    trip = await harness.start_trip("hotel", "flight", "visa")
    await flight.entered.wait()
    await trip.cancel()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED)

    assert "too late: the saga is compensating" in await harness.rejected_update(trip, "visa", VISA)
    await trip.signal("visa", VISA)
    flight.released.set()
    await hotel.entered.wait()
    assert "too late: the saga is compensating" in await harness.rejected_update(trip, "visa", VISA)
    await trip.signal("visa", VISA)
    hotel.released.set()

    assert await harness.wait_for_ending(trip) == Ending("CANCELED", "compensated")
    assert (await harness.current_details(trip)).splitlines()[-2:] == [
        "- visa arrived without a wait",
        "- visa came too late: the saga is compensating",
    ]


async def test_an_event_after_the_end_of_the_saga_is_reported(
    harness: WorkerHarness, caplog: pytest.LogCaptureFixture
) -> None:
    """The workflow still runs after the end of the saga."""
    trip = await harness.start_trip("hotel", "pay", "wait-after-block")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=2)
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, nth=3)

    assert "too late: the saga has ended" in await harness.rejected_update(trip, "visa", VISA)
    await trip.signal("visa", VISA)
    await trip.signal("go")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert (await harness.current_details(trip)).endswith("\n- visa came too late: the saga has ended")
    assert any("visa came too late: the saga has ended" in line for line in caplog.messages)


@pytest.mark.parametrize("words", [("wait", "look"), ("wait", "again", "look")], ids=["one-run", "as-new"])
async def test_an_event_without_a_wait_is_reported_at_the_end(
    harness: WorkerHarness, words: tuple[str, ...]
) -> None:
    """The report includes events from runs before the saga continued as new."""
    trip = await harness.start_trip(*words)
    await trip.signal("visa", VISA)
    await trip.signal("visa", VISA)
    await trip.signal("go")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    newest = harness.client.get_workflow_handle(trip.id)
    assert (await harness.current_details(newest)).endswith("\n- visa arrived 2 times without a wait")


async def test_a_cancel_ends_a_wait(harness: WorkerHarness) -> None:
    """P6: the cancelled saga compensates during a wait for an event."""
    trip = await harness.start_trip("hotel", "visa", "look")
    await harness.wait_for_event(trip, TIMER_STARTED)
    await trip.cancel()

    assert await harness.wait_for_ending(trip) == Ending("CANCELED", "compensated")


@pytest.mark.parametrize("is_approved", [True, False], ids=["approved", "declined"])
async def test_approval_decides(harness: WorkerHarness, *, is_approved: bool) -> None:
    """The decision needs the required role; a declined approval is an ordinary rejection."""
    trip = await harness.start_trip("hotel", "boss", "look")
    await harness.wait_for_event(trip, TIMER_STARTED)

    assert await decide(trip, is_approved=is_approved) == "running"

    expected = Ending("COMPLETED", None) if is_approved else Ending("FAILED", "compensated", "not_approved")
    ending = await harness.wait_for_ending(trip)
    assert (ending.closed, ending.saga, ending.code) == (expected.closed, expected.saga, expected.code)
    assert harness.participants.started[-1] == ("look-around" if is_approved else "cancel-hotel")


async def test_a_decision_names_operator_time_and_reason(harness: WorkerHarness) -> None:
    """The workflow code receives the operator, the reason and the time of the decision."""
    trip = await harness.client.start_workflow(
        ApprovalSaga.run, id=f"asking-{harness.task_queue}", task_queue=harness.task_queue
    )
    harness.workflow_ids.append(trip.id)
    asked = await harness.wait_for_event(trip, TIMER_STARTED)
    await decide(trip)

    decision = await trip.result()
    assert (decision.by, decision.because) == ("mia", "it is cheap")
    closed_at = (await trip.describe()).close_time
    assert closed_at is not None
    assert asked.event_time.ToDatetime(UTC) < decision.at < closed_at


async def test_an_approval_times_out(harness: WorkerHarness) -> None:
    """The saga compensates after the timeout of the approval."""
    trip = await harness.start_trip("hotel", "boss0.2", "look")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "deadline_exceeded")


async def test_a_decision_without_the_role_or_the_approval_is_refused(harness: WorkerHarness) -> None:
    """A refused decision has no effect on the saga."""
    trip = await harness.start_trip("look", "wait", "hotel", "boss")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    request = ApproveRequest(by="mia", because="x", approval="big-trip", roles=frozenset({"boss"}))
    assert "is not waited for" in await harness.rejected_update(trip, APPROVE, request)
    await trip.signal("go")
    await harness.wait_for_event(trip, TIMER_STARTED)

    without_roles = request.model_copy(update={"roles": frozenset()})
    assert "takes the role 'boss'" in await harness.rejected_update(trip, APPROVE, without_roles)
    other = request.model_copy(update={"approval": "small-trip"})
    assert "'small-trip' is not waited for" in await harness.rejected_update(trip, APPROVE, other)

    await decide(trip)
    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


@pytest.mark.parametrize("word", ["sleep", "wait", "visa", "boss", "car", "car|sleep", "leg"])
async def test_a_saga_compensates_at_its_deadline(harness: WorkerHarness, word: str) -> None:
    """The deadline is a business failure in every kind of wait, and every done step is compensated."""
    harness.participants.when("book-car", ActivityLatch().block_with_heartbeats)
    leg = TripPlan(do=("flight", "sleep"), name="leg")
    trip = await harness.start_trip("hotel", leg if word == "leg" else word, "look", seconds=0.5)

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "deadline_exceeded")
    assert "look-around" not in harness.participants.started
    assert harness.participants.started[-1] == "cancel-hotel"


async def test_a_deadline_does_not_count_after_the_pivot(harness: WorkerHarness) -> None:
    """After the pivot, the saga only goes forward."""
    trip = await harness.start_trip("hotel", "pay", "short-sleep", "short-sleep", "ticket", seconds=0.4)

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    fired = [e async for e in trip.fetch_history_events() if e.event_type == EventType.EVENT_TYPE_TIMER_FIRED]
    assert len(fired) == 3


async def test_a_deadline_during_the_pivot_waits_for_the_outcome(harness: WorkerHarness) -> None:
    """The pivot is done, and the saga goes forward in spite of the deadline."""
    pay = harness.participants.block("pay")
    trip = await harness.start_trip("hotel", "pay", "ticket", seconds=0.5)
    await pay.entered.wait()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_TIMER_FIRED)
    pay.released.set()

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


async def test_a_deadline_counts_before_a_later_cancel(harness: WorkerHarness) -> None:
    """The first cause counts: the saga has run out of time, and is cancelled while a step ends."""
    car = harness.participants.block("book-car")
    trip = await harness.start_trip("hotel", "car", "look", seconds=0.5)
    await car.entered.wait()
    fired = await harness.wait_for_event(trip, EventType.EVENT_TYPE_TIMER_FIRED)
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, after=fired.event_id)
    await trip.cancel()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
    car.released.set()

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "deadline_exceeded")
    assert harness.participants.started[-2:] == ["cancel-car", "cancel-hotel"]
