"""Unknown outcomes: asked for, passed over, and messages that cannot be sent at all."""

import pytest
from temporalio.api.enums.v1 import EventType

from ..fixtures.trip_participants import answers, breaks, refuses
from ..fixtures.trip_plan import Booking
from ..fixtures.worker_harness import Ending, Stage

# The cache is the business of the tests of cancels, pivots and children; here each task is a replay.
pytestmark = pytest.mark.parametrize("stage", [0], indirect=True, ids=["evicted"])

DONE = {"outcome": "done", "result": {"number": "h-1"}}
REJECTED = {"outcome": "rejected", "code": "never", "reason": "it never came"}
UNKNOWN = {"outcome": "unknown"}


async def test_a_probe_finds_that_the_action_is_done(stage: Stage) -> None:
    """The saga goes on with the result that it found; the same key was asked for."""
    stage.agency.when("book-hotel", breaks())
    stage.agency.when("find-hotel", answers(DONE))
    trip = await stage.start("probed-hotel", "look", "fail")

    assert (await stage.ending(trip)).saga == "compensated"
    assert stage.agency.story == ["book-hotel", "find-hotel", "look-around", "cancel-hotel"]
    assert stage.agency.results == [Booking(number="h-1")]
    assert {key for name, key in stage.agency.calls if "hotel" in name} == {f"{trip.id}:probed-hotel"}


async def test_a_probe_finds_that_the_action_was_rejected(stage: Stage) -> None:
    """It has no effect, so it is not compensated."""
    stage.agency.when("book-hotel", breaks())
    stage.agency.when("find-hotel", answers(REJECTED))
    trip = await stage.start("flight", "probed-hotel")

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "never")
    assert stage.agency.story == ["book-flight", "book-hotel", "find-hotel", "cancel-flight"]


@pytest.mark.parametrize("found", [answers(UNKNOWN), breaks(final=True), answers({"nonsense": 1}), refuses()])
async def test_a_probe_that_does_not_know_leaves_it_unknown(stage: Stage, found: object) -> None:
    """What may have happened is compensated."""
    stage.agency.when("book-hotel", breaks())
    stage.agency.when("find-hotel", found)  # type: ignore[arg-type] # one of several answers
    trip = await stage.start("probed-hotel")

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "unknown_outcome")
    assert stage.agency.story[-1] == "cancel-hotel"


@pytest.mark.parametrize("found", [DONE, REJECTED])
async def test_a_probe_gives_the_verdict_on_the_pivot(stage: Stage, found: dict[str, object]) -> None:
    """Without a second attempt."""
    stage.agency.when("pay", breaks())
    stage.agency.when("find-payment", answers(found))
    trip = await stage.start("hotel", "pay-probed")

    ending = await stage.ending(trip)
    assert ending.closed == ("COMPLETED" if found is DONE else "FAILED")
    assert stage.agency.story[:3] == ["book-hotel", "pay", "find-payment"]
    assert stage.agency.story[3:] == ([] if found is DONE else ["cancel-hotel"])


@pytest.mark.parametrize("rest", [(), ("look",), ("pay",)])
async def test_a_saga_that_passes_over_an_unknown_outcome_does_not_complete(
    stage: Stage, rest: tuple[str, ...]
) -> None:
    """P2: what may have happened, and was not counted on, would be left over."""
    stage.agency.when("book-flight", breaks())
    trip = await stage.start("hotel", "anyway-flight", *rest)

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "unknown_outcome")
    assert "pay" not in stage.agency.story
    assert stage.agency.story[-2:] == ["cancel-flight", "cancel-hotel"]


async def test_a_saga_may_pass_over_a_refusal(stage: Stage) -> None:
    """It left no effect: the saga takes another way."""
    stage.agency.when("book-flight", refuses())
    trip = await stage.start("anyway-flight", "car")

    assert (await stage.ending(trip)).closed == "COMPLETED"


@pytest.mark.parametrize("size", [1_100_000, 3_000_000])
async def test_a_message_that_would_wedge_the_workflow_is_not_sent(stage: Stage, size: int) -> None:
    """The saga fails as if its participant had refused, and makes up for what was done."""
    trip = await stage.start("hotel", f"big-{size}", "look")

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "message_too_large")
    assert stage.agency.story == ["book-hotel", "cancel-hotel"]
    assert "the message of book-flight has" in str(await stage.failure(trip))


async def test_a_message_that_is_no_json_is_not_sent(stage: Stage) -> None:
    """As above."""
    trip = await stage.start("hotel", "no-json", "look")

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "message_unreadable")
    assert stage.agency.story == ["book-hotel", "cancel-hotel"]


async def test_a_child_whose_message_is_too_large_is_not_started(stage: Stage) -> None:
    """As above."""
    trip = await stage.start("hotel", "big-child")

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "message_too_large")
    kinds = {event.event_type async for event in trip.fetch_history_events()}
    assert EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED not in kinds


async def test_a_step_with_a_deadline_does_not_wait_for_workers_for_ever(stage: Stage) -> None:
    """It is compensated, as a worker may have been there."""
    trip = await stage.start("hotel", "limited-car")
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT)
    await stage.open("nobody", workflows=False)

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "unknown_outcome")
    assert stage.agency.story == ["book-hotel", "cancel-car", "cancel-hotel"]


@pytest.mark.parametrize("word", ["abandoned", "same-id"])
async def test_a_plain_activity_that_could_wedge_the_workflow_is_refused(stage: Stage, word: str) -> None:
    """One that is abandoned and fails after its cancel does (Temporal 1.35), and one with a step's id."""
    trip = await stage.start("hotel", word)

    ending = await stage.ending(trip)
    assert (ending.closed, ending.code) == ("FAILED", "DefinitionError")
    assert stage.agency.story == ["book-hotel", "cancel-hotel"]


async def test_a_child_that_fails_after_activities_of_no_saga_is_lost(stage: Stage) -> None:
    """P8: nobody knows what it has left, so its parent says that it is stuck, and waits for a person."""
    trip = await stage.start("hotel", "careless-child")

    await stage.status(trip, "stuck")
    assert stage.agency.story[-1] == "cancel-hotel"


async def test_a_result_that_is_too_large_to_be_passed_on_is_one_that_nobody_knows(stage: Stage) -> None:
    """P11: the compensation is sent without it, and not held back for ever."""
    stage.agency.when("book-hotel", answers({"number": "x" * 1_100_000}))
    trip = await stage.start("hotel", "fail")

    assert (await stage.ending(trip)).saga == "compensated"
    assert stage.agency.results == [None]
