"""A compensation that does not succeed makes the saga stuck, which it says, and it is never given up."""

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowUpdateFailedError
from temporalio.testing import TimeSkipper

from sagas import RETRY

from .agency import breaks, refuses
from .stage import Ending, Stage

# The cache is the business of the tests of cancels, pivots and children; here each task is a replay.
pytestmark = pytest.mark.parametrize("stage", [0], indirect=True, ids=["evicted"])


async def test_compensation_that_fails_and_then_succeeds_mends_itself(stage: Stage) -> None:
    """The saga was stuck for a while, nobody did anything, and it ends compensated."""
    stage.client = TimeSkipper(stage.client).client
    stage.agency.when("cancel-flight", breaks(), breaks(), breaks())

    trip = await stage.start("hotel", "flight", "fail")
    await stage.status(trip, "stuck")

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "ApplicationError")
    assert stage.agency.story[2:] == [
        "cancel-flight",
        "cancel-hotel",  # one that fails does not hold up the others
        *["cancel-flight"] * 3,
    ]


async def test_details_say_what_keeps_failing_and_what_is_owed(stage: Stage) -> None:
    """Who looks into the Web UI sees at which step; and at which, when it is past the pivot."""
    stage.agency.when("cancel-flight", refuses("too_late"))
    stage.agency.when("cancel-hotel", refuses("closed"))
    trip = await stage.start("hotel", "look", "flight", "car", "fail")
    await stage.status(trip, "stuck")
    back = await stage.details(trip)
    stage.agency.when("book-hotel", refuses("closed"))
    forward = await stage.start("pay", "hotel")
    await stage.status(forward, "stuck")

    assert back.splitlines()[0] == "**stuck**: book-flight: too_late, sorry; book-hotel: closed, sorry"
    assert back.splitlines()[4:] == [
        "| book-hotel | ✓ done | **keeps failing** |",
        "| look-around | ✓ done |  |",
        "| book-flight | ✓ done | **keeps failing** |",
        "| book-car | ✓ done | ✓ compensated |",
    ]
    assert (await stage.details(forward)).splitlines()[
        5
    ] == "| book-hotel | … under way, **keeps failing** |  |"


async def test_final_refusal_of_a_compensation_waits_for_an_operator(stage: Stage) -> None:
    """Another try would be answered the same, so no timer runs; `saga-retry` ends the wait."""
    stage.agency.when("cancel-hotel", refuses("too_late"))
    trip = await stage.start("hotel", "fail")
    await stage.status(trip, "stuck")

    assert await stage.retry(trip) == "stuck"

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "ApplicationError")
    assert stage.agency.story == ["book-hotel", "cancel-hotel", "cancel-hotel"]
    kinds = {event.event_type async for event in trip.fetch_history_events()}
    assert EventType.EVENT_TYPE_TIMER_STARTED not in kinds


async def test_retry_of_a_saga_that_is_not_stuck_is_refused(stage: Stage) -> None:
    """And leaves it as it was."""
    trip = await stage.start("hotel", "wait")
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)

    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await stage.retry(trip)

    assert "not stuck" in str(refused.value.cause)
    await trip.signal("go")
    assert (await stage.ending(trip)).closed == "COMPLETED"


@pytest.mark.parametrize("note", [{}, {"by": "", "because": "x"}, {"by": "mia", "because": "x", "x": 1}, 7])
async def test_retry_without_a_proper_note_is_refused(stage: Stage, note: object) -> None:
    """Who and why are part of it; the saga stays stuck and unharmed."""
    stage.agency.when("cancel-hotel", refuses())
    trip = await stage.start("hotel", "fail")
    await stage.status(trip, "stuck")

    with pytest.raises(WorkflowUpdateFailedError):
        await trip.execute_update(RETRY, note)

    await stage.retry(trip)
    assert (await stage.ending(trip)).saga == "compensated"


async def test_retry_wakes_a_pivot_that_is_stuck(stage: Stage) -> None:
    """Wherever a saga is stuck, the operator's word ends the pause at once."""
    stage.agency.when("pay", breaks())
    trip = await stage.start("hotel", "pay-patient")
    await stage.status(trip, "stuck")

    await stage.retry(trip)

    assert (await stage.ending(trip)).closed == "COMPLETED"
    assert stage.agency.story == ["book-hotel", "pay", "pay"]
