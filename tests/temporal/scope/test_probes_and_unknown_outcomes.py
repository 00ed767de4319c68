"""Unknown outcomes: probed, tolerated in best effort, and messages that cannot be sent at all."""

import pytest
from temporalio.api.enums.v1 import EventType

from ..fixtures.trip_participants import fails, rejects, returns
from ..fixtures.trip_plan import Booking
from ..fixtures.worker_harness import Ending, WorkerHarness

# The cache is the business of the tests of cancels, pivots and children; here each task is a replay.
pytestmark = pytest.mark.parametrize("harness", [0], indirect=True, ids=["evicted"])

DONE = {"outcome": "done", "result": {"number": "h-1"}}
REJECTED = {"outcome": "rejected", "code": "never", "reason": "it never came"}
UNKNOWN = {"outcome": "unknown"}


async def test_a_probe_finds_that_the_action_is_done(harness: WorkerHarness) -> None:
    """The saga goes on with the result that it found; the same key was asked for."""
    harness.participants.when("book-hotel", fails())
    harness.participants.when("find-hotel", returns(DONE))
    trip = await harness.start_trip("probed-hotel", "look", "fail")

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started == ["book-hotel", "find-hotel", "look-around", "cancel-hotel"]
    assert harness.participants.results == [Booking(number="h-1")]
    assert {key for name, key in harness.participants.calls if "hotel" in name} == {f"{trip.id}:probed-hotel"}


async def test_a_probe_finds_that_the_action_was_rejected(harness: WorkerHarness) -> None:
    """It has no effect, so it is not compensated."""
    harness.participants.when("book-hotel", fails())
    harness.participants.when("find-hotel", returns(REJECTED))
    trip = await harness.start_trip("flight", "probed-hotel")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "never")
    assert harness.participants.started == ["book-flight", "book-hotel", "find-hotel", "cancel-flight"]


@pytest.mark.parametrize("found", [returns(UNKNOWN), fails(final=True), returns({"nonsense": 1}), rejects()])
async def test_a_probe_that_does_not_know_leaves_it_unknown(harness: WorkerHarness, found: object) -> None:
    """What may have happened is compensated."""
    harness.participants.when("book-hotel", fails())
    harness.participants.when("find-hotel", found)  # type: ignore[arg-type] # one of several answers
    trip = await harness.start_trip("probed-hotel")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "unknown_outcome")
    assert harness.participants.started[-1] == "cancel-hotel"


@pytest.mark.parametrize("found", [DONE, REJECTED])
async def test_a_probe_gives_the_verdict_on_the_pivot(
    harness: WorkerHarness, found: dict[str, object]
) -> None:
    """Without a second attempt."""
    harness.participants.when("pay", fails())
    harness.participants.when("find-payment", returns(found))
    trip = await harness.start_trip("hotel", "pay-probed")

    ending = await harness.wait_for_ending(trip)
    assert ending.closed == ("COMPLETED" if found is DONE else "FAILED")
    assert harness.participants.started[:3] == ["book-hotel", "pay", "find-payment"]
    assert harness.participants.started[3:] == ([] if found is DONE else ["cancel-hotel"])


@pytest.mark.parametrize("rest", [(), ("look",), ("pay",)])
async def test_a_saga_that_passes_over_an_unknown_outcome_does_not_complete(
    harness: WorkerHarness, rest: tuple[str, ...]
) -> None:
    """P2: what may have happened, and was not counted on, would be left over."""
    harness.participants.when("book-flight", fails())
    trip = await harness.start_trip("hotel", "anyway-flight", *rest)

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "unknown_outcome")
    assert "pay" not in harness.participants.started
    assert harness.participants.started[-2:] == ["cancel-flight", "cancel-hotel"]


async def test_a_saga_may_pass_over_a_refusal(harness: WorkerHarness) -> None:
    """It left no effect: the saga takes another way."""
    harness.participants.when("book-flight", rejects())
    trip = await harness.start_trip("anyway-flight", "car")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


@pytest.mark.parametrize("size", [1_100_000, 3_000_000])
async def test_a_message_that_would_wedge_the_workflow_is_not_sent(harness: WorkerHarness, size: int) -> None:
    """The saga fails as if its participant had refused, and makes up for what was done."""
    trip = await harness.start_trip("hotel", f"big-{size}", "look")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "message_too_large")
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]
    assert "the message of book-flight has" in str(await harness.wait_for_failure(trip))


async def test_a_message_that_is_no_json_is_not_sent(harness: WorkerHarness) -> None:
    """As above."""
    trip = await harness.start_trip("hotel", "no-json", "look")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "message_unreadable")
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_a_child_whose_message_is_too_large_is_not_started(harness: WorkerHarness) -> None:
    """As above."""
    trip = await harness.start_trip("hotel", "big-child")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "message_too_large")
    kinds = {event.event_type async for event in trip.fetch_history_events()}
    assert EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED not in kinds


async def test_a_step_with_a_deadline_does_not_wait_for_workers_for_ever(harness: WorkerHarness) -> None:
    """It is compensated, as a worker may have been there."""
    trip = await harness.start_trip("hotel", "car-with-schedule-to-close")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT)
    await harness.start_worker("unpolled-queue", workflows=False)

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "unknown_outcome")
    assert harness.participants.started == ["book-hotel", "cancel-car", "cancel-hotel"]


@pytest.mark.parametrize("word", ["abandoned", "same-id"])
async def test_a_plain_activity_that_could_wedge_the_workflow_is_refused(
    harness: WorkerHarness, word: str
) -> None:
    """One that is abandoned and fails after its cancel does (Temporal 1.35), and one with a step's id."""
    trip = await harness.start_trip("hotel", word)

    ending = await harness.wait_for_ending(trip)
    assert (ending.closed, ending.code) == ("FAILED", "DefinitionError")
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_a_child_that_fails_after_activities_of_no_saga_is_lost(harness: WorkerHarness) -> None:
    """P8: nobody knows what it has left, so its parent says that it is stuck, and waits for a person."""
    trip = await harness.start_trip("hotel", "child-without-saga")

    await harness.wait_for_status(trip, "stuck")
    assert harness.participants.started[-1] == "cancel-hotel"


async def test_a_result_that_is_too_large_to_be_passed_on_is_one_that_nobody_knows(
    harness: WorkerHarness,
) -> None:
    """P11: the compensation is sent without it, and not held back for ever."""
    harness.participants.when("book-hotel", returns({"number": "x" * 1_100_000}))
    trip = await harness.start_trip("hotel", "fail")

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.results == [None]
