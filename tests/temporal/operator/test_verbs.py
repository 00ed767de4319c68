"""Verbs of operators: executed and recorded in the audit trail, or refused with a reason."""

import asyncio

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowUpdateFailedError

from sagas import SagaPlugin
from sagas.operator import (
    COMPENSATE,
    COMPENSATION_REQUESTED,
    COMPLETE,
    HOLD,
    RESUME,
    RETRY,
    SKIP,
    CompleteRequest,
    OperatorRequest,
    SagaClient,
    SkipRequest,
)

from ..fixtures.trip_participants import ActivityLatch, fails, rejects
from ..fixtures.trip_plan import Booking, TripPlan
from ..fixtures.worker_harness import Ending, Handle, WorkerHarness

# Tests of cancels, pivots and children run with a cache as well; here, each workflow task is a replay.
pytestmark = pytest.mark.parametrize("harness", [0], indirect=True, ids=["evicted"])

MIA = OperatorRequest(by="mia", because="a call from the customer")
COMPLETED = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
FAILED = EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED
FIRED = EventType.EVENT_TYPE_TIMER_FIRED


def skip(step: str) -> SkipRequest:
    return SkipRequest(by="mia", because="the booking does not exist", step=step)


def complete(step: str, result: object = None) -> CompleteRequest:
    return CompleteRequest(by="mia", because="done by telephone", step=step, result=result)


async def test_held_saga_starts_no_step_until_resumed(harness: WorkerHarness) -> None:
    """A running activity goes on to its end."""
    hotel = harness.participants.block("book-hotel")
    trip = await harness.start_trip("hotel", "flight")
    await hotel.entered.wait()

    assert await harness.send_update(trip, HOLD, MIA) == "held"
    hotel.released.set()
    await harness.wait_for_event(trip, COMPLETED)
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, nth=3)
    assert harness.participants.started == ["book-hotel"]
    assert "is held" in await harness.rejected_update(trip, HOLD, MIA)

    assert await harness.send_update(trip, RESUME, MIA) == "running"
    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started == ["book-hotel", "book-flight"]


async def test_children_are_held_and_resumed_with_their_parent(harness: WorkerHarness) -> None:
    """The verbs reach children at any depth, and each audit trail has the operator."""
    car = harness.participants.block("book-car")
    trip = await harness.start_trip(
        "hotel", TripPlan(do=(TripPlan(do=("car", "flight"), name="night"), "look")), "pay"
    )
    await car.entered.wait()
    family = [trip, harness.child_of(trip, "leg"), harness.child_of(trip, "leg/night")]

    assert await harness.send_update(trip, HOLD, MIA) == "held"
    for saga in family:
        await harness.wait_for_status(saga, "held")
    car.released.set()
    done = await harness.wait_for_event(family[2], COMPLETED)
    await harness.wait_for_event(family[2], EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, after=done.event_id)
    assert harness.participants.started == ["book-hotel", "book-car"]
    assert "hold by mia: a call from the customer" in await harness.current_details(family[2])
    operator = SagaClient(harness.client)
    leg = (await operator.show(trip.id)).steps[1].child
    assert leg is not None
    assert [
        (each.status, [verb.verb for verb in each.audit_trail]) for each in (leg, leg.steps[0].child) if each
    ] == [("held", ["saga-hold"])] * 2

    assert await harness.send_update(trip, RESUME, MIA) == "running"
    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started[2:] == ["book-flight", "look-around", "pay"]
    assert [verb.words for verb in (await operator.show(family[2].id)).audit_trail] == ["hold", "resume"]


async def test_child_that_starts_during_a_hold_is_held(harness: WorkerHarness) -> None:
    """The start of the child is already on the way, but the child starts no step."""
    asked_for = EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED
    trips = [await harness.start_trip("hotel", TripPlan(do=("visa",))) for _ in range(10)]

    async def hold_early(trip: Handle) -> None:
        await harness.wait_for_event(trip, asked_for)
        await harness.send_update(trip, HOLD, MIA)

    await asyncio.gather(*map(hold_early, trips))
    for trip in trips:
        child = harness.child_of(trip, "leg")
        await harness.wait_for_status(child, "held")
        await harness.send_update(trip, RESUME, MIA)
        await child.signal("visa", Booking(number="v-1"))
        assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


@pytest.mark.parametrize("state", ["compensating", "closed"])
async def test_compensating_child_is_not_held(harness: WorkerHarness, state: str) -> None:
    """A hold stops neither the compensations of the child nor those of its parent."""
    latch = harness.participants.block("cancel-flight" if state == "compensating" else "look-around")
    child = TripPlan(do=("flight", "fail") if state == "compensating" else ("flight",))
    trip = await harness.start_trip("hotel", child, "look")
    await latch.entered.wait()

    assert await harness.send_update(trip, HOLD, MIA) == "held"
    latch.released.set()
    if state == "closed":
        await harness.send_update(trip, RESUME, MIA)

    assert (await harness.wait_for_ending(trip)).closed == ("COMPLETED" if state == "closed" else "FAILED")


async def test_stuck_child_is_held_after_its_stuck_step(harness: WorkerHarness) -> None:
    """The child starts no further step; a resume before the end of the stuck step counts as well."""
    for is_early in (False, True):
        harness.participants.when("book-flight", rejects())
        trip = await harness.start_trip(
            "hotel", TripPlan(do=("pay", "flight", "look"), is_pivot=True), "ticket"
        )
        await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
        child = harness.child_of(trip, "leg")
        await harness.wait_for_status(child, "stuck")

        assert await harness.send_update(trip, HOLD, MIA) == "held"
        signaled = await harness.wait_for_event(child, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED)
        await harness.wait_for_event(
            child, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, after=signaled.event_id
        )
        assert (await harness.current_details(child)).startswith("**stuck**")
        assert "only one that is running can be held" in await harness.rejected_update(child, HOLD, MIA)
        if is_early:
            await harness.send_update(trip, RESUME, MIA)
            await harness.wait_for_event(child, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED, nth=2)
        await harness.retry_stuck(child)
        if not is_early:
            await harness.wait_for_status(child, "held")
            assert harness.participants.started == ["book-hotel", "pay", *["book-flight"] * 2]
            assert await harness.send_update(trip, RESUME, MIA) == "running"

        assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
        assert harness.participants.started[-2:] == ["look-around", "send-ticket"]


async def test_child_with_a_stuck_compensation_is_not_held(harness: WorkerHarness) -> None:
    """The audit trail of the child has no hold, because a hold stops no compensation."""
    harness.participants.when("cancel-flight", rejects("too_late"))
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "fail")))
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    child = harness.child_of(trip, "leg")
    await harness.wait_for_status(child, "stuck")

    await harness.send_update(trip, HOLD, MIA)
    signaled = await harness.wait_for_event(child, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED)
    await harness.wait_for_event(child, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, after=signaled.event_id)

    assert "hold by mia" not in await harness.current_details(child)
    await harness.retry_stuck(child)
    assert (await harness.wait_for_ending(trip)).saga == "compensated"


async def test_parent_stays_held_after_compensate_when_its_child_is_past_the_pivot(
    harness: WorkerHarness,
) -> None:
    """P6: compensating is too late then, and a resume continues parent and child."""
    pay = harness.participants.block("pay")
    trip = await harness.start_trip("hotel", TripPlan(do=("pay", "look"), is_pivot=True), "ticket")
    await pay.entered.wait()
    child = harness.child_of(trip, "leg")
    await harness.send_update(trip, HOLD, MIA)
    await harness.wait_for_status(child, "held")
    pay.released.set()
    done = await harness.wait_for_event(child, COMPLETED)
    await harness.wait_for_event(child, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, after=done.event_id)

    assert await harness.send_update(trip, COMPENSATE, MIA) == COMPENSATION_REQUESTED
    cancelled = await harness.wait_for_event(child, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
    await harness.wait_for_event(
        child, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, after=cancelled.event_id
    )
    for saga in (trip, child):
        assert (await harness.current_details(saga)).startswith("**held**")
    assert await harness.send_update(trip, RESUME, MIA) == "running"

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started == ["book-hotel", "pay", "look-around", "send-ticket"]


async def test_saga_stays_held_after_compensate_when_its_pivot_is_done(harness: WorkerHarness) -> None:
    """P6: the pivot was under way at the time of the request, and has happened."""
    pay = harness.participants.block("pay")
    trip = await harness.start_trip("hotel", "pay", "look")
    await pay.entered.wait()
    await harness.send_update(trip, HOLD, MIA)
    await harness.send_update(trip, COMPENSATE, MIA)
    pay.released.set()
    done = await harness.wait_for_event(trip, COMPLETED, nth=2)
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, after=done.event_id)
    assert (await harness.current_details(trip)).startswith("**held**")

    assert await harness.send_update(trip, RESUME, MIA) == "running"

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started == ["book-hotel", "pay", "look-around"]


async def test_held_child_compensates_with_its_parent(harness: WorkerHarness) -> None:
    """No resume is needed first."""
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "visa")))
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await harness.wait_for_event(harness.child_of(trip, "leg"), COMPLETED)
    await harness.send_update(trip, HOLD, MIA)
    await harness.wait_for_status(harness.child_of(trip, "leg"), "held")

    await harness.send_update(trip, COMPENSATE, MIA)

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started[2:] == ["cancel-flight", "cancel-hotel"]


async def test_held_saga_can_be_cancelled_and_compensated(harness: WorkerHarness) -> None:
    """Neither a cancel nor a compensate waits for a resume."""
    for verb in ("cancel", COMPENSATE):
        hotel = harness.participants.block("book-hotel")
        trip = await harness.start_trip("hotel", "flight")
        await hotel.entered.wait()
        await harness.send_update(trip, HOLD, MIA)
        hotel.released.set()
        await harness.wait_for_event(trip, COMPLETED)
        await (trip.cancel() if verb == "cancel" else harness.send_update(trip, COMPENSATE, MIA))

        assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert "book-flight" not in harness.participants.started


@pytest.mark.parametrize("word", ["sleep", "wait", "car", "flight|sleep", "leg"])
async def test_compensate_works_wherever_the_saga_waits(harness: WorkerHarness, word: str) -> None:
    """The failure of the saga has the code of a requested compensation."""
    harness.participants.when("book-car", ActivityLatch().block_with_heartbeats)
    leg = TripPlan(do=("flight", "sleep"))
    trip = await harness.start_trip("hotel", leg if word == "leg" else word, "look")
    await harness.wait_for_event(trip, COMPLETED)
    if word == "leg":
        await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
        await harness.wait_for_event(harness.child_of(trip, "leg"), EventType.EVENT_TYPE_TIMER_STARTED)
    elif word == "wait":
        await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, nth=2)
    elif word == "car":
        await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, nth=2)
    else:
        await harness.wait_for_event(trip, EventType.EVENT_TYPE_TIMER_STARTED)
        done = await harness.wait_for_event(trip, COMPLETED, nth=2 if "flight" in word else 1)
        await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, after=done.event_id)

    expected = "compensating" if word in ("sleep", "wait", "flight|sleep") else COMPENSATION_REQUESTED
    assert await harness.send_update(trip, COMPENSATE, MIA) == expected

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "compensation_requested")
    assert "look-around" not in harness.participants.started
    assert harness.participants.started[-1] == "cancel-hotel"


async def test_compensation_is_skipped(harness: WorkerHarness) -> None:
    """The saga ends as settled with the skipped step; the other compensations run."""
    harness.participants.when("cancel-flight", rejects("too_late"))
    trip = await harness.start_trip("hotel", "flight", "fail")
    await harness.wait_for_status(trip, "stuck")
    # The older compensation is done: only the skipped step is left.
    await harness.wait_for_event(trip, COMPLETED, nth=3)

    assert "'hotel' is not stuck: stuck is 'book-flight'" in await harness.rejected_update(
        trip, SKIP, skip("hotel")
    )
    assert await harness.send_update(trip, SKIP, skip("book-flight")) == "compensating"

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "settled", "Planned")
    assert harness.participants.started[2:] == ["cancel-flight", "cancel-hotel"]
    error = await harness.wait_for_failure(trip)
    assert error.type == "SagaSettled"
    assert error.details[3] == {"book-flight": "skipped"}


async def test_saga_stays_stuck_while_another_compensation_fails(harness: WorkerHarness) -> None:
    """The answer to a skip is the status after the skip: stuck, and compensating after the last one."""
    harness.participants.when("cancel-flight", rejects("too_late"))
    harness.participants.when("cancel-hotel", rejects("closed"))
    trip = await harness.start_trip("hotel", "flight", "fail")
    await harness.wait_for_event(trip, FAILED, nth=2)

    assert await harness.send_update(trip, SKIP, skip("book-flight")) == "stuck"
    assert await harness.send_update(trip, COMPLETE, complete("book-hotel")) == "compensating"

    assert (await harness.wait_for_ending(trip)).saga == "settled"


async def test_compensation_is_completed_manually(harness: WorkerHarness) -> None:
    """A compensation that is still being retried can be completed as well."""
    harness.participants.when("cancel-flight", *[fails()] * 50)
    trip = await harness.start_trip("flight", "fail")
    await harness.wait_for_status(trip, "stuck")

    await harness.send_update(trip, COMPLETE, complete("book-flight"))

    assert (await harness.wait_for_ending(trip)).saga == "settled"
    assert (await harness.wait_for_failure(trip)).details[3] == {"book-flight": "completed-manually"}


async def test_step_after_the_pivot_is_completed_manually(harness: WorkerHarness) -> None:
    """The operator gives the result of the action; the step cannot be skipped."""
    harness.participants.when("book-hotel", rejects("closed"))
    trip = await harness.start_trip("pay", "hotel", "look")
    await harness.wait_for_status(trip, "stuck")

    assert "cannot be skipped" in await harness.rejected_update(trip, SKIP, skip("book-hotel"))
    assert "past its pivot" in await harness.rejected_update(trip, COMPENSATE, MIA)
    wrong = await harness.rejected_update(trip, COMPLETE, complete("book-hotel", {"number": 7}))
    assert "does not fit: number" in wrong
    answer = await harness.send_update(trip, COMPLETE, complete("book-hotel", {"number": "h-9"}))
    assert answer == "running"

    ending = await harness.wait_for_ending(trip)
    assert (ending.closed, ending.saga) == ("COMPLETED", "settled")
    assert harness.participants.started == ["pay", "book-hotel", "look-around"]


@pytest.mark.parametrize("verb", [SKIP, COMPLETE])
async def test_pivot_in_doubt_is_resolved_manually(harness: WorkerHarness, verb: str) -> None:
    """A skipped pivot has not happened, and a completed pivot has happened."""
    harness.participants.when("pay", *[fails(final=True)] * 50)
    trip = await harness.start_trip("hotel", "pay-once", "look")
    await harness.wait_for_status(trip, "stuck")

    assert "complete it if it has" in await harness.rejected_update(trip, COMPENSATE, MIA)
    request = skip("pay") if verb == SKIP else complete("pay", {"number": "p-1"})
    await harness.send_update(trip, verb, request)

    ending = await harness.wait_for_ending(trip)
    assert ending.saga == "settled"
    assert (ending.closed, harness.participants.started[-1]) == (
        ("FAILED", "cancel-hotel") if verb == SKIP else ("COMPLETED", "look-around")
    )


async def test_parent_reports_manual_resolutions_of_its_child(harness: WorkerHarness) -> None:
    """The resolution has the address of the step in the parent."""
    harness.participants.when("cancel-flight", rejects("too_late"))
    leg = TripPlan(do=("flight", "fail"))
    trip = await harness.start_trip("hotel", leg)
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await harness.wait_for_status(child, "stuck")

    await harness.send_update(child, SKIP, skip("book-flight"))

    assert (await harness.wait_for_ending(child)).saga == "settled"
    assert (await harness.wait_for_ending(trip)).saga == "settled"
    assert (await harness.wait_for_failure(trip)).details[3] == {"leg:book-flight": "skipped"}


@pytest.mark.parametrize("cancelled", ["parent", "child"])
async def test_parent_reports_manual_resolutions_of_a_cancelled_child(
    harness: WorkerHarness, cancelled: str
) -> None:
    """Parent and child fail as settled, because a cancelled workflow could not report the resolution."""
    harness.participants.when("cancel-flight", rejects("too_late"))
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "sleep")))
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await harness.wait_for_event(child, EventType.EVENT_TYPE_TIMER_STARTED)
    await (trip if cancelled == "parent" else child).cancel()
    await harness.wait_for_status(child, "stuck")

    await harness.send_update(child, SKIP, skip("book-flight"))

    assert await harness.wait_for_ending(child) == Ending("FAILED", "settled", "cancelled")
    assert await harness.wait_for_ending(trip) == Ending("FAILED", "settled", "cancelled")
    assert (await harness.wait_for_failure(trip)).details[3] == {"leg:book-flight": "skipped"}
    assert (await SagaClient(harness.client).show(trip.id)).status == "settled"


async def test_saga_that_is_held_during_its_last_step_does_not_complete(harness: WorkerHarness) -> None:
    """The operator can still have the saga compensated."""
    hotel = harness.participants.block("book-hotel")
    trip = await harness.start_trip("hotel")
    await hotel.entered.wait()
    await harness.send_update(trip, HOLD, MIA)
    hotel.released.set()
    await harness.wait_for_event(trip, COMPLETED)

    await harness.send_update(trip, COMPENSATE, MIA)

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "compensation_requested")


async def test_cancelled_saga_cannot_be_held(harness: WorkerHarness) -> None:
    """The saga is about to compensate, and a hold stops no compensation."""
    flight = harness.participants.block("book-flight")
    trip = await harness.start_trip("hotel", "flight")
    await flight.entered.wait()
    await trip.cancel()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED)

    assert "about to compensate" in await harness.rejected_update(trip, HOLD, MIA)

    flight.released.set()
    assert await harness.wait_for_ending(trip) == Ending("CANCELED", "compensated")


@pytest.mark.parametrize("do", [("pay-once",), ("pay", "hotel")])
async def test_saga_that_gets_stuck_during_a_hold_is_held_afterwards(
    harness: WorkerHarness, do: tuple[str, ...]
) -> None:
    """A resume is possible before and after the stuck step is done."""
    for is_early in (True, False):
        latch = ActivityLatch()
        harness.participants.when("pay" if do == ("pay-once",) else "book-hotel", latch.block_then_fail)
        trip = await harness.start_trip(*do, "look")
        await latch.entered.wait()
        assert await harness.send_update(trip, HOLD, MIA) == "held"
        latch.released.set()
        await harness.wait_for_status(trip, "stuck")
        if is_early:
            assert await harness.send_update(trip, RESUME, MIA) == "stuck"
        await harness.retry_stuck(trip)
        if not is_early:
            await harness.wait_for_status(trip, "held", nth=2)
            assert await harness.send_update(trip, RESUME, MIA) == "running"
        assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


@pytest.mark.parametrize("verb", [SKIP, COMPLETE])
async def test_pivot_is_not_resolved_during_an_attempt(harness: WorkerHarness, verb: str) -> None:
    """P6: an operator cannot know the result of the running attempt."""
    latch = ActivityLatch()
    harness.participants.when("pay", fails(), latch.block)
    trip = await harness.start_trip("hotel", "pay-once", "look")
    await harness.wait_for_status(trip, "stuck")
    await harness.retry_stuck(trip)
    await latch.entered.wait()

    request = skip("pay") if verb == SKIP else complete("pay", {"number": "p-1"})
    assert "being tried again" in await harness.rejected_update(trip, verb, request)
    latch.released.set()

    ending = await harness.wait_for_ending(trip)
    assert (ending.closed, ending.saga) == ("COMPLETED", "completed")


async def test_completed_compensation_is_not_retried(harness: WorkerHarness) -> None:
    """The current round leaves the compensation out; a running compensation cannot be resolved."""
    latch = ActivityLatch()
    harness.participants.when("cancel-flight", rejects("too_late"), latch.block)
    harness.participants.when("cancel-hotel", rejects("too_late"))
    trip = await harness.start_trip("hotel", "flight", "fail")
    await harness.wait_for_status(trip, "stuck")
    await harness.retry_stuck(trip)
    await latch.entered.wait()

    assert "being tried again" in await harness.rejected_update(trip, SKIP, skip("book-flight"))
    await harness.send_update(trip, COMPLETE, complete("book-hotel"))
    latch.released.set()

    assert (await harness.wait_for_ending(trip)).saga == "settled"
    assert (await harness.wait_for_failure(trip)).details[3] == {"book-hotel": "completed-manually"}
    assert harness.participants.started[2:] == ["cancel-flight", "cancel-hotel", "cancel-flight"]


async def test_first_of_two_resolutions_counts(harness: WorkerHarness) -> None:
    """The second request is refused, even if both reach the saga at once."""
    harness.participants.when("cancel-hotel", rejects("too_late"))
    trip = await harness.start_trip("hotel", "fail")
    await harness.wait_for_status(trip, "stuck")
    await harness.stop_workers()
    both = [
        asyncio.create_task(trip.execute_update(verb, request, id=verb))
        for verb, request in ((SKIP, skip("book-hotel")), (COMPLETE, complete("book-hotel")))
    ]
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED, nth=4)
    await harness.start_worker()

    returns = await asyncio.gather(*both, return_exceptions=True)

    assert [isinstance(answer, Exception) for answer in returns].count(True) == 1
    assert (await harness.wait_for_ending(trip)).saga == "settled"


async def test_retry_during_a_round_starts_another_round(harness: WorkerHarness) -> None:
    """A compensation that was rejected earlier in the round is attempted again."""
    harness.participants.when("cancel-flight", rejects("too_late"))
    car = harness.participants.block("cancel-car")
    trip = await harness.start_trip("car", "flight", "fail")
    await car.entered.wait()

    await harness.retry_stuck(trip)
    car.released.set()

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started[2:] == ["cancel-flight", "cancel-car", "cancel-flight"]


async def test_impossible_verbs_are_refused(harness: WorkerHarness) -> None:
    """A refused verb has a reason, and leaves no event."""
    trip = await harness.start_trip("hotel", "wait")
    await harness.wait_for_event(trip, COMPLETED)

    assert "not held" in await harness.rejected_update(trip, RESUME, MIA)
    assert "not stuck" in await harness.rejected_update(trip, RETRY, MIA)
    assert "nothing is" in await harness.rejected_update(trip, SKIP, skip("hotel"))
    assert "nothing is" in await harness.rejected_update(trip, COMPLETE, complete("hotel"))

    await trip.signal("go")
    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    kinds = {event.event_type async for event in trip.fetch_history_events()}
    assert EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED not in kinds


async def test_verbs_are_refused_after_the_end_of_the_saga(harness: WorkerHarness) -> None:
    """The workflow still runs."""
    trip = await harness.start_trip("hotel", "pay", "wait-after-block")
    await harness.wait_for_event(trip, COMPLETED, nth=2)
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, nth=3)

    assert "it has ended" in await harness.rejected_update(trip, HOLD, MIA)
    await trip.signal("go")
    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


async def test_audit_trail_is_part_of_the_current_details(harness: WorkerHarness) -> None:
    """Each line has the verb, the operator and the reason."""
    trip = await harness.start_trip("hotel", "wait")
    await harness.wait_for_event(trip, COMPLETED)
    await harness.send_update(trip, HOLD, MIA)
    await harness.send_update(trip, RESUME, OperatorRequest(by="tom", because="all is well"))

    details = await harness.current_details(trip)

    assert " hold by mia: a call from the customer\n" in details
    assert details.endswith(" resume by tom: all is well")
    await trip.signal("go")


async def test_authorize_decides_about_verbs(harness: WorkerHarness, server: str) -> None:
    """The function runs in the worker, before the verb is recorded."""

    def only_tom(verb: str, request: OperatorRequest) -> str | None:
        return None if request.by == "tom" else f"{request.by} may not {verb}"

    await harness.stop_workers()
    harness.client = await Client.connect(server, plugins=[SagaPlugin(authorize=only_tom)])
    await harness.start_worker()
    trip = await harness.start_trip("hotel", "wait")
    await harness.wait_for_event(trip, COMPLETED)

    assert "mia may not saga-hold" in await harness.rejected_update(trip, HOLD, MIA)
    assert await harness.send_update(trip, HOLD, OperatorRequest(by="tom", because="x")) == "held"
    await harness.send_update(trip, RESUME, OperatorRequest(by="tom", because="x"))
    await trip.signal("go")
    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


@pytest.mark.parametrize("verb", [HOLD, SKIP])
@pytest.mark.parametrize("content", [[], [None]], ids=["nothing", "null"])
async def test_request_without_operator_is_refused(
    harness: WorkerHarness, verb: str, content: list[None]
) -> None:
    """An update without arguments or with null has no operator."""
    trip = await harness.start_trip("hotel", "wait")
    await harness.wait_for_event(trip, COMPLETED)

    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await trip.execute_update(verb, args=content)
    assert "by= must name the operator" in str(refused.value.cause)
    await trip.signal("go")
    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


@pytest.mark.parametrize(
    "request_", [{}, {"by": "mia", "because": "x"}, {"by": "mia", "because": "x", "step": 7}]
)
async def test_malformed_request_is_refused(harness: WorkerHarness, request_: dict[str, object]) -> None:
    """The saga does not change."""
    trip = await harness.start_trip("hotel", "wait")
    await harness.wait_for_event(trip, COMPLETED)

    assert await harness.rejected_update(trip, SKIP, request_)
    await trip.signal("go")
    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
