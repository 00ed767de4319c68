"""What an operator may ask of a saga: carried out and written down, or refused by a sentence."""

import asyncio

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowUpdateFailedError

from sagas import (
    COMPENSATE,
    COMPLETE,
    HOLD,
    RESUME,
    RETRY,
    SKIP,
    CompleteRequest,
    OperatorNote,
    SagaClient,
    SagaPlugin,
    SkipRequest,
)

from ..fixtures.trip_participants import ActivityLatch, fails, rejects
from ..fixtures.trip_plan import Booking, TripPlan
from ..fixtures.worker_harness import Ending, Handle, WorkerHarness

# The cache is the business of the tests of cancels, pivots and children; here each task is a replay.
pytestmark = pytest.mark.parametrize("harness", [0], indirect=True, ids=["evicted"])

MIA = OperatorNote(by="mia", because="a call from the customer")
COMPLETED = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
FAILED = EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED
FIRED = EventType.EVENT_TYPE_TIMER_FIRED


def skip(step: str) -> SkipRequest:
    return SkipRequest(by="mia", because="it was never there", step=step)


def complete(step: str, result: object = None) -> CompleteRequest:
    return CompleteRequest(by="mia", because="done by telephone", step=step, result=result)


async def test_a_saga_that_is_held_begins_nothing_until_it_is_resumed(harness: WorkerHarness) -> None:
    """What is under way goes on to its end."""
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


async def test_children_are_held_with_their_parent_and_resumed_with_it(harness: WorkerHarness) -> None:
    """At any depth; what is under way in them goes on to its end, and each says who has held it."""
    car = harness.participants.block("book-car")
    trip = await harness.start_trip(
        "hotel", TripPlan(do=(TripPlan(do=("car", "flight"), name="night"), "look")), "ticket"
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
    told = (await operator.show(trip.id)).steps[1].child
    assert told is not None
    assert [
        (each.status, [verb.verb for verb in each.verbs]) for each in (told, told.steps[0].child) if each
    ] == [("held", ["saga-hold"])] * 2

    assert await harness.send_update(trip, RESUME, MIA) == "running"
    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started[2:] == ["book-flight", "look-around", "send-ticket"]
    assert [verb.words for verb in (await operator.show(family[2].id)).verbs] == ["hold", "resume"]


async def test_a_child_that_starts_while_its_parent_is_being_held_is_held(harness: WorkerHarness) -> None:
    """Its start cannot be taken back, but it begins nothing."""
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


@pytest.mark.parametrize("what", ["compensating", "closed"])
async def test_a_child_that_makes_up_for_itself_is_not_held(harness: WorkerHarness, what: str) -> None:
    """Nothing holds a compensation, nor that of the parent, which turns round when it hears of it."""
    latch = harness.participants.block("cancel-flight" if what == "compensating" else "look-around")
    child = TripPlan(do=("flight", "fail") if what == "compensating" else ("flight",))
    trip = await harness.start_trip("hotel", child, "look")
    await latch.entered.wait()

    assert await harness.send_update(trip, HOLD, MIA) == "held"
    latch.released.set()
    if what == "closed":
        await harness.send_update(trip, RESUME, MIA)

    assert (await harness.wait_for_ending(trip)).closed == ("COMPLETED" if what == "closed" else "FAILED")


async def test_a_child_that_is_stuck_is_held_with_its_parent_once_it_is_through(
    harness: WorkerHarness,
) -> None:
    """It would begin its next step else; a `resume` that comes before is heard as well."""
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


async def test_a_child_that_is_stuck_on_its_way_back_is_not_held(harness: WorkerHarness) -> None:
    """Nothing holds a compensation, so nobody is said to have done so."""
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


async def test_a_saga_that_is_held_stays_so_where_its_child_is_past_the_pivot(harness: WorkerHarness) -> None:
    """P6: to compensate is too late then, and whoever resumes it gets both going."""
    pay = harness.participants.block("pay")
    trip = await harness.start_trip("hotel", TripPlan(do=("pay", "look"), is_pivot=True), "ticket")
    await pay.entered.wait()
    child = harness.child_of(trip, "leg")
    await harness.send_update(trip, HOLD, MIA)
    await harness.wait_for_status(child, "held")
    pay.released.set()
    done = await harness.wait_for_event(child, COMPLETED)
    await harness.wait_for_event(child, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, after=done.event_id)

    assert await harness.send_update(trip, COMPENSATE, MIA) == "held"
    cancelled = await harness.wait_for_event(child, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
    await harness.wait_for_event(
        child, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, after=cancelled.event_id
    )
    for saga in (trip, child):
        assert (await harness.current_details(saga)).startswith("**held**")
    assert await harness.send_update(trip, RESUME, MIA) == "running"

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started == ["book-hotel", "pay", "look-around", "send-ticket"]


async def test_a_saga_that_is_held_stays_so_where_it_is_told_to_compensate_too_late(
    harness: WorkerHarness,
) -> None:
    """P6: its pivot may have happened already, and has."""
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


async def test_a_child_that_is_held_with_its_parent_compensates_with_it(harness: WorkerHarness) -> None:
    """Nobody has to resume it first."""
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "visa")))
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await harness.wait_for_event(harness.child_of(trip, "leg"), COMPLETED)
    await harness.send_update(trip, HOLD, MIA)
    await harness.wait_for_status(harness.child_of(trip, "leg"), "held")

    await harness.send_update(trip, COMPENSATE, MIA)

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started[2:] == ["cancel-flight", "cancel-hotel"]


async def test_a_saga_that_is_held_can_be_cancelled(harness: WorkerHarness) -> None:
    """And told to compensate; neither waits for `resume`."""
    for way in ("cancel", COMPENSATE):
        hotel = harness.participants.block("book-hotel")
        trip = await harness.start_trip("hotel", "flight")
        await hotel.entered.wait()
        await harness.send_update(trip, HOLD, MIA)
        hotel.released.set()
        await harness.wait_for_event(trip, COMPLETED)
        await (trip.cancel() if way == "cancel" else harness.send_update(trip, COMPENSATE, MIA))

        assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert "book-flight" not in harness.participants.started


@pytest.mark.parametrize("word", ["sleep", "wait", "car", "flight|sleep", "leg"])
async def test_an_operator_has_a_saga_compensate(harness: WorkerHarness, word: str) -> None:
    """Wherever it waits; the failure says who wanted it."""
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

    assert await harness.send_update(trip, COMPENSATE, MIA) == "running"

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "turned_back")
    assert "look-around" not in harness.participants.started
    assert harness.participants.started[-1] == "cancel-hotel"


async def test_a_compensation_is_skipped(harness: WorkerHarness) -> None:
    """The saga says that it was settled, and by which step; its other compensations have run."""
    harness.participants.when("cancel-flight", rejects("too_late"))
    trip = await harness.start_trip("hotel", "flight", "fail")
    await harness.wait_for_status(trip, "stuck")

    assert "'hotel' is not stuck: stuck is 'book-flight'" in await harness.rejected_update(
        trip, SKIP, skip("hotel")
    )
    await harness.send_update(trip, SKIP, skip("book-flight"))

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "settled", "ApplicationError")
    assert harness.participants.started[2:] == ["cancel-flight", "cancel-hotel"]
    error = await harness.wait_for_failure(trip)
    assert error.type == "SagaSettled"
    assert error.details[3] == {"book-flight": "skipped"}


async def test_a_compensation_is_completed_by_hand(harness: WorkerHarness) -> None:
    """Also one that is still being tried."""
    harness.participants.when("cancel-flight", *[fails()] * 50)
    trip = await harness.start_trip("flight", "fail")
    await harness.wait_for_status(trip, "stuck")

    await harness.send_update(trip, COMPLETE, complete("book-flight"))

    assert (await harness.wait_for_ending(trip)).saga == "settled"
    assert (await harness.wait_for_failure(trip)).details[3] == {"book-flight": "completed by hand"}


async def test_a_step_after_the_pivot_is_completed_by_hand(harness: WorkerHarness) -> None:
    """With the result that it would have had; it cannot be skipped, as the saga counts on it."""
    harness.participants.when("book-hotel", rejects("closed"))
    trip = await harness.start_trip("pay", "hotel", "look")
    await harness.wait_for_status(trip, "stuck")

    assert "cannot be skipped" in await harness.rejected_update(trip, SKIP, skip("book-hotel"))
    assert "past its pivot" in await harness.rejected_update(trip, COMPENSATE, MIA)
    wrong = await harness.rejected_update(trip, COMPLETE, complete("book-hotel", {"number": 7}))
    assert "does not fit: number" in wrong
    await harness.send_update(trip, COMPLETE, complete("book-hotel", {"number": "h-9"}))

    ending = await harness.wait_for_ending(trip)
    assert (ending.closed, ending.saga) == ("COMPLETED", "settled")
    assert harness.participants.started == ["pay", "book-hotel", "look-around"]


@pytest.mark.parametrize("verb", [SKIP, COMPLETE])
async def test_a_person_gives_the_verdict_on_the_pivot(harness: WorkerHarness, verb: str) -> None:
    """Who skips it says that it has not happened, who completes it says that it has."""
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


async def test_a_parent_knows_what_was_settled_in_its_child(harness: WorkerHarness) -> None:
    """Under the address that it has there."""
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


@pytest.mark.parametrize("who", ["parent", "child"])
async def test_a_parent_knows_what_was_settled_in_a_child_that_was_cancelled(
    harness: WorkerHarness, who: str
) -> None:
    """So does who waits for the root; closed as cancelled, nothing of it would seem to be left."""
    harness.participants.when("cancel-flight", rejects("too_late"))
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "sleep")))
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await harness.wait_for_event(child, EventType.EVENT_TYPE_TIMER_STARTED)
    await (trip if who == "parent" else child).cancel()
    await harness.wait_for_status(child, "stuck")

    await harness.send_update(child, SKIP, skip("book-flight"))

    assert await harness.wait_for_ending(child) == Ending("FAILED", "settled", "cancelled")
    assert await harness.wait_for_ending(trip) == Ending("FAILED", "settled", "cancelled")
    assert (await harness.wait_for_failure(trip)).details[3] == {"leg:book-flight": "skipped"}
    assert (await SagaClient(harness.client).show(trip.id)).status == "settled"


async def test_a_saga_that_is_held_at_its_end_waits_for_resume(harness: WorkerHarness) -> None:
    """It is not completed over the head of an operator who wants to look first."""
    hotel = harness.participants.block("book-hotel")
    trip = await harness.start_trip("hotel")
    await hotel.entered.wait()
    await harness.send_update(trip, HOLD, MIA)
    hotel.released.set()
    await harness.wait_for_event(trip, COMPLETED)

    await harness.send_update(trip, COMPENSATE, MIA)

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "turned_back")


async def test_a_saga_that_was_cancelled_cannot_be_held(harness: WorkerHarness) -> None:
    """It is about to compensate, which is not held: the verb would change nothing."""
    flight = harness.participants.block("book-flight")
    trip = await harness.start_trip("hotel", "flight")
    await flight.entered.wait()
    await trip.cancel()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED)

    assert "about to compensate" in await harness.rejected_update(trip, HOLD, MIA)

    flight.released.set()
    assert await harness.wait_for_ending(trip) == Ending("CANCELED", "compensated")


@pytest.mark.parametrize("do", [("pay-once",), ("pay", "hotel")])
async def test_a_saga_that_gets_stuck_while_it_is_held_is_held_afterwards(
    harness: WorkerHarness, do: tuple[str, ...]
) -> None:
    """It says so, and can be resumed: also before it mends."""
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
async def test_nobody_settles_a_pivot_that_is_being_tried(harness: WorkerHarness, verb: str) -> None:
    """P6: who looked before this attempt does not know what it does."""
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


async def test_a_compensation_that_was_done_by_hand_is_not_tried_again(harness: WorkerHarness) -> None:
    """Not even in a round that has begun; one that is being tried is not settled."""
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
    assert (await harness.wait_for_failure(trip)).details[3] == {"book-hotel": "completed by hand"}
    assert harness.participants.started[2:] == ["cancel-flight", "cancel-hotel", "cancel-flight"]


async def test_the_first_word_of_two_counts(harness: WorkerHarness) -> None:
    """Also when both reach the saga at once: the second is refused."""
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


async def test_a_retry_during_a_round_has_another_one_follow(harness: WorkerHarness) -> None:
    """What was mended meanwhile may have been refused before in this round."""
    harness.participants.when("cancel-flight", rejects("too_late"))
    car = harness.participants.block("cancel-car")
    trip = await harness.start_trip("car", "flight", "fail")
    await car.entered.wait()

    await harness.retry_stuck(trip)
    car.released.set()

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started[2:] == ["cancel-flight", "cancel-car", "cancel-flight"]


async def test_verbs_that_make_no_sense_are_refused(harness: WorkerHarness) -> None:
    """By a sentence, and the saga goes on as if nothing had been asked."""
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


async def test_verbs_come_too_late_once_the_saga_has_ended(harness: WorkerHarness) -> None:
    """While the workflow still runs."""
    trip = await harness.start_trip("hotel", "pay", "wait-after-block")
    await harness.wait_for_event(trip, COMPLETED, nth=2)
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, nth=3)

    assert "it has ended" in await harness.rejected_update(trip, HOLD, MIA)
    await trip.signal("go")
    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


async def test_the_audit_trail_says_who_and_why(harness: WorkerHarness) -> None:
    """For everybody who looks at the saga."""
    trip = await harness.start_trip("hotel", "wait")
    await harness.wait_for_event(trip, COMPLETED)
    await harness.send_update(trip, HOLD, MIA)
    await harness.send_update(trip, RESUME, OperatorNote(by="tom", because="all is well"))

    details = await harness.current_details(trip)

    assert " hold by mia: a call from the customer\n" in details
    assert details.endswith(" resume by tom: all is well")
    await trip.signal("go")


async def test_a_check_of_ones_own_decides_who_may_do_what(harness: WorkerHarness, server: str) -> None:
    """It is asked in the worker, before anything is written."""

    def only_tom(verb: str, note: OperatorNote) -> str | None:
        return None if note.by == "tom" else f"{note.by} may not {verb}"

    await harness.stop_workers()
    harness.client = await Client.connect(server, plugins=[SagaPlugin(authorize=only_tom)])
    await harness.start_worker()
    trip = await harness.start_trip("hotel", "wait")
    await harness.wait_for_event(trip, COMPLETED)

    assert "mia may not saga-hold" in await harness.rejected_update(trip, HOLD, MIA)
    assert await harness.send_update(trip, HOLD, OperatorNote(by="tom", because="x")) == "held"
    await harness.send_update(trip, RESUME, OperatorNote(by="tom", because="x"))
    await trip.signal("go")
    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


@pytest.mark.parametrize("verb", [HOLD, SKIP])
@pytest.mark.parametrize("content", [[], [None]], ids=["nothing", "null"])
async def test_a_request_by_nobody_is_refused(harness: WorkerHarness, verb: str, content: list[None]) -> None:
    """Whoever sends an update by hand may forget what belongs to it."""
    trip = await harness.start_trip("hotel", "wait")
    await harness.wait_for_event(trip, COMPLETED)

    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await trip.execute_update(verb, args=content)
    assert "nobody is named who asks for it" in str(refused.value.cause)
    await trip.signal("go")
    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


@pytest.mark.parametrize(
    "request_", [{}, {"by": "mia", "because": "x"}, {"by": "mia", "because": "x", "step": 7}]
)
async def test_a_malformed_request_is_refused(harness: WorkerHarness, request_: dict[str, object]) -> None:
    """Before anything has happened; the saga is as it was."""
    trip = await harness.start_trip("hotel", "wait")
    await harness.wait_for_event(trip, COMPLETED)

    assert await harness.rejected_update(trip, SKIP, request_)
    await trip.signal("go")
    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
