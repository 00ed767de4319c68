"""Events from outside, people's decisions, and deadlines."""

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

# The cache is the business of the tests of cancels, pivots and children; here each task is a replay.
pytestmark = pytest.mark.parametrize("harness", [0], indirect=True, ids=["evicted"])

TIMER_STARTED = EventType.EVENT_TYPE_TIMER_STARTED
VISA = Booking(number="v-7")


# In the sandbox, this file would be read again for each worker.
@workflow.defn(sandboxed=False)
class AskingSaga:
    """Says what was decided."""

    @workflow.run
    async def run(self) -> ApprovalDecision:
        async with Saga() as saga:
            return await saga.approval("big-trip", role="boss")


@workflow.defn(sandboxed=False)
class NoddingSaga:
    """Waits for two nods."""

    @workflow.run
    async def run(self) -> None:
        async with Saga() as saga:
            nod = saga.expect("nod", type(None))
            await saga.wait_for(nod)
            await saga.wait_for(nod)


@workflow.defn(sandboxed=False)
class HopingSaga:
    """Waits for a visa in two branches, of which one soon gives up."""

    @workflow.run
    async def run(self, on_failure: OnFailure) -> None:
        async with Saga() as saga:
            visa, nod = saga.expect("visa", Booking), saga.expect("nod", type(None))
            hope = saga.wait_for(visa, timeout=timedelta(seconds=0.2))
            with suppress(DeadlineExceededError):
                await saga.parallel(hope, saga.wait_for(visa), on_failure=on_failure)
            await saga.wait_for(nod)


WORKFLOWS = [*USUAL, AskingSaga, NoddingSaga, HopingSaga]


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
async def test_an_event_from_outside_lets_the_saga_go_on(
    harness: WorkerHarness, way: str, *, is_early: bool
) -> None:
    """It may come before the saga waits for it; as a signal or as an update."""
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
    ("content", "why"),
    [([], "it is empty"), ([None], "it is null"), ([VISA, VISA], "it has 2 arguments, and takes one")],
    ids=["empty", "null", "two"],
)
async def test_an_event_that_is_no_message_is_passed_over(
    harness: WorkerHarness, content: list[object], why: str
) -> None:
    """A signal cannot be refused, and must not wedge the saga; who sends an update is told."""
    trip = await harness.start_trip("visa", "look")
    await harness.wait_for_event(trip, TIMER_STARTED)

    await trip.signal("visa", args=content)
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await trip.execute_update("visa", args=content)
    assert str(refused.value.cause) == f"SagaRefused: visa is refused: {why}"
    assert f"visa was ignored: {why}" in await harness.current_details(trip)
    await trip.signal("visa", VISA)

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


async def test_an_event_may_say_nothing(harness: WorkerHarness) -> None:
    """Where its type says so; as null, or without any argument."""
    trip = await harness.client.start_workflow(
        NoddingSaga.run, id=f"nod-{harness.task_queue}", task_queue=harness.task_queue
    )
    harness.workflow_ids.append(trip.id)

    await trip.signal("nod")
    await trip.signal("nod", None)

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


@pytest.mark.parametrize("content", [[], ["x", "y"]], ids=str)
async def test_a_word_to_a_child_that_is_none_is_passed_over(
    harness: WorkerHarness, content: list[object]
) -> None:
    """Anybody may send a signal by the name of that with which a parent holds its children."""
    trip = await harness.start_trip(TripPlan(do=("visa",)))
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    child = harness.child_of(trip, "leg")

    await child.signal(HOLD, args=content)
    await child.signal("visa", VISA)

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


async def test_an_event_that_does_not_come_in_time_turns_the_saga_round(harness: WorkerHarness) -> None:
    """As a failure of business: everything is made up for."""
    trip = await harness.start_trip("hotel", "visa0.2", "look")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "deadline_exceeded")
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_an_event_that_comes_too_late_is_reported_and_kept(harness: WorkerHarness) -> None:
    """The sender of an update is told; a signal is shown, and taken by the next wait."""
    trip = await harness.start_trip("anyway-visa0.2", "wait", "visa")
    fired = await harness.wait_for_event(trip, EventType.EVENT_TYPE_TIMER_FIRED)
    # What comes in the same task as the timer has not come too late.
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, after=fired.event_id)

    assert "too late" in await harness.rejected_update(trip, "visa", VISA)
    await trip.signal("visa", VISA)
    assert "visa came" in await harness.current_details(trip)
    await trip.signal("go")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


async def start_hoping(harness: WorkerHarness, on_failure: OnFailure) -> Handle:
    """One wait has run out, and the saga knows it."""
    trip = await harness.client.start_workflow(
        HopingSaga.run, on_failure, id=f"hope-{harness.task_queue}", task_queue=harness.task_queue
    )
    harness.workflow_ids.append(trip.id)
    fired = await harness.wait_for_event(trip, EventType.EVENT_TYPE_TIMER_FIRED)
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, after=fired.event_id)
    return trip


async def test_an_event_is_not_too_late_while_another_branch_waits_for_it(harness: WorkerHarness) -> None:
    """One that gives up does not speak for the others."""
    trip = await start_hoping(harness, OnFailure.FINISH)

    await trip.execute_update("visa", VISA)
    await trip.signal("nod")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


async def test_an_event_is_too_late_when_the_other_branch_was_cancelled(harness: WorkerHarness) -> None:
    """Nobody waits for it any more."""
    trip = await start_hoping(harness, OnFailure.CANCEL)

    assert "visa comes too late: the saga waited until" in await harness.rejected_update(trip, "visa", VISA)
    await trip.signal("nod")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


async def test_an_event_that_comes_when_the_saga_has_turned_round_is_reported(harness: WorkerHarness) -> None:
    """P14: also while what was under way then has not ended; the sender of an update is told."""
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


async def test_an_event_that_comes_when_the_saga_has_ended_is_reported(
    harness: WorkerHarness, caplog: pytest.LogCaptureFixture
) -> None:
    """While its workflow still runs."""
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
async def test_an_event_that_was_never_asked_for_is_reported_at_the_end(
    harness: WorkerHarness, words: tuple[str, ...]
) -> None:
    """Also one that came before the saga continued as new."""
    trip = await harness.start_trip(*words)
    await trip.signal("visa", VISA)
    await trip.signal("visa", VISA)
    await trip.signal("go")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    newest = harness.client.get_workflow_handle(trip.id)
    assert (await harness.current_details(newest)).endswith("\n- visa arrived 2 times without a wait")


async def test_a_cancel_ends_a_wait(harness: WorkerHarness) -> None:
    """P6."""
    trip = await harness.start_trip("hotel", "visa", "look")
    await harness.wait_for_event(trip, TIMER_STARTED)
    await trip.cancel()

    assert await harness.wait_for_ending(trip) == Ending("CANCELED", "compensated")


@pytest.mark.parametrize("is_approved", [True, False], ids=["approved", "declined"])
async def test_a_person_decides(harness: WorkerHarness, *, is_approved: bool) -> None:
    """With the role that it takes; a decision against it is a refusal like any other."""
    trip = await harness.start_trip("hotel", "boss", "look")
    await harness.wait_for_event(trip, TIMER_STARTED)

    assert await decide(trip, is_approved=is_approved) == "running"

    expected = Ending("COMPLETED", None) if is_approved else Ending("FAILED", "compensated", "not_approved")
    ending = await harness.wait_for_ending(trip)
    assert (ending.closed, ending.saga, ending.code) == (expected.closed, expected.saga, expected.code)
    assert harness.participants.started[-1] == ("look-around" if is_approved else "cancel-hotel")


async def test_a_saga_knows_who_has_decided_when_and_why(harness: WorkerHarness) -> None:
    """It may have to say so to others."""
    trip = await harness.client.start_workflow(
        AskingSaga.run, id=f"asking-{harness.task_queue}", task_queue=harness.task_queue
    )
    harness.workflow_ids.append(trip.id)
    asked = await harness.wait_for_event(trip, TIMER_STARTED)
    await decide(trip)

    decision = await trip.result()
    assert (decision.by, decision.because) == ("mia", "it is cheap")
    closed_at = (await trip.describe()).close_time
    assert closed_at is not None
    assert asked.event_time.ToDatetime(UTC) < decision.at < closed_at


async def test_nobody_decides_in_time(harness: WorkerHarness) -> None:
    """The saga does not wait for ever where it was told not to."""
    trip = await harness.start_trip("hotel", "boss0.2", "look")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "deadline_exceeded")


async def test_a_decision_is_refused_without_the_role_or_without_a_question(harness: WorkerHarness) -> None:
    """And nothing has happened."""
    trip = await harness.start_trip("look", "wait", "hotel", "boss")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    request = ApproveRequest(by="mia", because="x", approval="big-trip", roles=frozenset({"boss"}))
    assert "is not waited for" in await harness.rejected_update(trip, APPROVE, request)
    await trip.signal("go")
    await harness.wait_for_event(trip, TIMER_STARTED)

    nobody = request.model_copy(update={"roles": frozenset()})
    assert "takes the role 'boss'" in await harness.rejected_update(trip, APPROVE, nobody)
    other = request.model_copy(update={"approval": "small-trip"})
    assert "'small-trip' is not waited for" in await harness.rejected_update(trip, APPROVE, other)

    await decide(trip)
    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


@pytest.mark.parametrize("word", ["sleep", "wait", "visa", "boss", "car", "car|sleep", "leg"])
async def test_a_saga_whose_time_is_up_turns_round(harness: WorkerHarness, word: str) -> None:
    """Wherever it waits; it fails as a matter of business, and everything is made up for."""
    harness.participants.when("book-car", ActivityLatch().block_with_heartbeats)
    leg = TripPlan(do=("flight", "sleep"), name="leg")
    trip = await harness.start_trip("hotel", leg if word == "leg" else word, "look", seconds=0.5)

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "deadline_exceeded")
    assert "look-around" not in harness.participants.started
    assert harness.participants.started[-1] == "cancel-hotel"


async def test_a_deadline_does_not_count_after_the_pivot(harness: WorkerHarness) -> None:
    """There is no way back."""
    trip = await harness.start_trip("hotel", "pay", "short-sleep", "short-sleep", "ticket", seconds=0.4)

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    fired = [e async for e in trip.fetch_history_events() if e.event_type == EventType.EVENT_TYPE_TIMER_FIRED]
    assert len(fired) == 3


async def test_a_deadline_that_comes_while_the_pivot_is_under_way_waits_for_its_verdict(
    harness: WorkerHarness,
) -> None:
    """Nothing crosses the pivot backwards: it is done, so the saga goes on."""
    pay = harness.participants.block("pay")
    trip = await harness.start_trip("hotel", "pay", "ticket", seconds=0.5)
    await pay.entered.wait()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_TIMER_FIRED)
    pay.released.set()

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


async def test_a_cancel_and_a_deadline_at_once_are_a_cancel(harness: WorkerHarness) -> None:
    """Whoever cancelled is answered."""
    car = harness.participants.block("book-car")
    trip = await harness.start_trip("hotel", "car", "look", seconds=0.5)
    await car.entered.wait()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_TIMER_FIRED)
    await trip.cancel()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
    car.released.set()

    assert await harness.wait_for_ending(trip) == Ending("CANCELED", "compensated")
    assert harness.participants.started[-2:] == ["cancel-car", "cancel-hotel"]
