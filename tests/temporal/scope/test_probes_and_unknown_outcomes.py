"""Unknown outcomes and probes, and messages with an invalid size or format."""

import pytest
from temporalio.api.enums.v1 import EventType

from ..fixtures.trip_participants import fails, rejects, returns
from ..fixtures.trip_plan import Booking
from ..fixtures.worker_harness import Ending, WorkerHarness

# Tests of cancels, pivots and children cover the cache; here, each workflow task is a replay.
pytestmark = pytest.mark.parametrize("harness", [0], indirect=True, ids=["evicted"])

DONE = {"outcome": "done", "result": {"number": "h-1"}}
REJECTED = {"outcome": "rejected", "code": "never", "reason": "it never came"}
UNKNOWN = {"outcome": "unknown"}


async def test_a_probe_finds_a_done_action(harness: WorkerHarness) -> None:
    """The saga continues with the result from the probe; the probe gets the key of the action."""
    harness.participants.when("book-hotel", fails())
    harness.participants.when("find-hotel", returns(DONE))
    trip = await harness.start_trip("probed-hotel", "look", "fail")

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started == ["book-hotel", "find-hotel", "look-around", "cancel-hotel"]
    assert harness.participants.results == [Booking(number="h-1")]
    assert {key for name, key in harness.participants.calls if "hotel" in name} == {f"{trip.id}:probed-hotel"}


async def test_a_probe_finds_a_rejected_action(harness: WorkerHarness) -> None:
    """A rejected action has no effect, and is not compensated."""
    harness.participants.when("book-hotel", fails())
    harness.participants.when("find-hotel", returns(REJECTED))
    trip = await harness.start_trip("flight", "probed-hotel")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "never")
    assert harness.participants.started == ["book-flight", "book-hotel", "find-hotel", "cancel-flight"]


@pytest.mark.parametrize("found", [returns(UNKNOWN), fails(final=True), returns({"nonsense": 1}), rejects()])
async def test_a_probe_may_leave_the_outcome_unknown(harness: WorkerHarness, found: object) -> None:
    """A possibly done action is compensated."""
    harness.participants.when("book-hotel", fails())
    harness.participants.when("find-hotel", found)  # type: ignore[arg-type] # `found` is a `Response`
    trip = await harness.start_trip("probed-hotel")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "unknown_outcome")
    assert harness.participants.started[-1] == "cancel-hotel"


@pytest.mark.parametrize("found", [DONE, REJECTED])
async def test_a_probe_finds_the_outcome_of_the_pivot(
    harness: WorkerHarness, found: dict[str, object]
) -> None:
    """The pivot is not attempted again."""
    harness.participants.when("pay", fails())
    harness.participants.when("find-payment", returns(found))
    trip = await harness.start_trip("hotel", "pay-probed")

    ending = await harness.wait_for_ending(trip)
    assert ending.closed == ("COMPLETED" if found is DONE else "FAILED")
    assert harness.participants.started[:3] == ["book-hotel", "pay", "find-payment"]
    assert harness.participants.started[3:] == ([] if found is DONE else ["cancel-hotel"])


@pytest.mark.parametrize("rest", [(), ("look",), ("pay",)])
async def test_a_saga_with_an_ignored_unknown_outcome_does_not_complete(
    harness: WorkerHarness, rest: tuple[str, ...]
) -> None:
    """P2: the action may have happened, and the saga compensates instead of completing."""
    harness.participants.when("book-flight", fails())
    trip = await harness.start_trip("hotel", "anyway-flight", *rest)

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "unknown_outcome")
    assert "pay" not in harness.participants.started
    assert harness.participants.started[-2:] == ["cancel-flight", "cancel-hotel"]


async def test_a_saga_may_ignore_a_rejection(harness: WorkerHarness) -> None:
    """A rejected action has no effect, and the saga continues with another step."""
    harness.participants.when("book-flight", rejects())
    trip = await harness.start_trip("anyway-flight", "car")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


@pytest.mark.parametrize("size", [1_100_000, 3_000_000])
async def test_a_message_above_the_size_limit_is_not_sent(harness: WorkerHarness, size: int) -> None:
    """The saga fails as after a rejection, and compensates the done steps."""
    trip = await harness.start_trip("hotel", f"big-{size}", "look")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "message_too_large")
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]
    assert "the message of book-flight has" in str(await harness.wait_for_failure(trip))


async def test_a_message_outside_of_json_is_not_sent(harness: WorkerHarness) -> None:
    """The saga fails as after a rejection, and compensates the done steps."""
    trip = await harness.start_trip("hotel", "no-json", "look")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "message_unreadable")
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_a_child_with_too_large_a_message_is_not_started(harness: WorkerHarness) -> None:
    """The saga fails as after a rejection, and the history has no start of the child."""
    trip = await harness.start_trip("hotel", "big-child")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "message_too_large")
    kinds = {event.event_type async for event in trip.fetch_history_events()}
    assert EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED not in kinds


async def test_a_step_with_a_timeout_does_not_wait_for_workers_forever(harness: WorkerHarness) -> None:
    """The step is compensated, because a worker may have taken the action."""
    trip = await harness.start_trip("hotel", "car-with-schedule-to-close")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT)
    await harness.start_worker("unpolled-queue", workflows=False)

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "unknown_outcome")
    assert harness.participants.started == ["book-hotel", "cancel-car", "cancel-hotel"]


@pytest.mark.parametrize("word", ["abandoned", "same-id"])
async def test_an_abandoned_activity_or_a_duplicate_id_is_refused(harness: WorkerHarness, word: str) -> None:
    """A plain activity must not be abandoned on cancel, and must not have the id of a step.

    In Temporal 1.35, the failure of an abandoned activity after the cancel blocks the workflow.
    """
    trip = await harness.start_trip("hotel", word)

    ending = await harness.wait_for_ending(trip)
    assert (ending.closed, ending.code) == ("FAILED", "DefinitionError")
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_a_child_failed_after_plain_activities_is_unknown(harness: WorkerHarness) -> None:
    """P8: the effects of the child are unknown, and the stuck parent waits for an operator."""
    trip = await harness.start_trip("hotel", "child-without-saga")

    await harness.wait_for_status(trip, "stuck")
    assert harness.participants.started[-1] == "cancel-hotel"


async def test_a_result_too_large_for_the_compensation_is_left_out(harness: WorkerHarness) -> None:
    """P11: the compensation runs without the result, instead of never."""
    harness.participants.when("book-hotel", returns({"number": "x" * 1_100_000}))
    trip = await harness.start_trip("hotel", "fail")

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.results == [None]
