"""Of several alternatives the first answer wins, and every other alternative is compensated."""

import pytest
from temporalio.api.enums.v1 import EventType

from sagas.operator import SagaClient

from ..fixtures.section_saga import SectionSaga, maple, start_sections
from ..fixtures.trip_participants import fails, rejects
from ..fixtures.trip_saga import TripSaga
from ..fixtures.worker_harness import Ending, WorkerHarness

WORKFLOWS = [SectionSaga, TripSaga]
BY, BECAUSE = "mia", "the guest has called"
SCHEDULED = EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
CANCEL_REQUESTED = EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED


async def test_the_next_alternative_starts_when_the_current_one_fails(harness: WorkerHarness) -> None:
    """The first answer is the result; an alternative after the answer never starts."""
    harness.participants.when("book-hotel", rejects())

    saga = await start_sections(harness, "first-hotel?flight?car", "pay")

    assert (await harness.wait_for_ending(saga)).result == ["flight"]
    assert harness.participants.started == ["book-hotel", "book-flight", "pay"]
    assert await harness.timer_durations(saga) == []


async def test_a_failed_alternative_is_compensated(harness: WorkerHarness) -> None:
    """The steps before the failure are compensated, and the saga completes."""
    harness.participants.when("book-car", rejects())

    saga = await start_sections(harness, "first-hotel,car?flight", "pay")

    assert (await harness.wait_for_ending(saga)).result == ["flight"]
    assert harness.participants.keys["cancel-hotel"] == [f"{saga.id}:book-hotel"]
    assert "cancel-flight" not in harness.participants.started


async def test_all_alternatives_fail(harness: WorkerHarness) -> None:
    """The first failure fails the saga, which compensates the steps before."""
    harness.participants.when("book-flight", rejects("no_seat"))
    harness.participants.when("book-car", rejects("no_car"))

    saga = await start_sections(harness, "hotel", "first-flight?car")

    assert await harness.wait_for_ending(saga) == Ending("FAILED", "compensated", "no_seat")
    assert harness.participants.started[-2:] == ["cancel-hotel", "tell-customer"]


async def test_an_overdue_alternative_is_cancelled_and_compensated_when_the_answer_comes_late(
    harness: WorkerHarness,
) -> None:
    """The saga passes the pivot meanwhile, and does not close before the late answer is compensated."""
    hotel = harness.participants.block("book-hotel")
    saga = await start_sections(harness, "car", "first-0.2-hotel?flight", "pay", "ticket")
    await harness.wait_for_event(saga, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=4)
    operator = SagaClient(harness.client)

    shown, preview = await operator.show(saga.id), await operator.preview(saga.id)
    assert harness.participants.started[-2:] == ["pay", "send-ticket"]
    assert (shown.status, shown.steps[1].outcome, shown.steps[1].sections) == (
        "running",
        "started",
        ("alternative",),
    )
    assert [each.address for each in preview.compensations] == ["book-hotel"]
    assert preview.sentence == "only lost alternatives are compensated: the pivot is done or in doubt"
    assert "book-hotel" not in [each.address for each in preview.remaining_effects]
    hotel.released.set()

    assert await harness.wait_for_ending(saga) == Ending("COMPLETED", None, result=["flight"])
    assert harness.participants.started[-1] == "cancel-hotel"
    assert [booking and booking.number for booking in harness.participants.results] == ["book-hotel-1"]


async def test_the_first_answer_of_hedged_alternatives_wins(harness: WorkerHarness) -> None:
    """The overdue alternative answers first; the other alternative is cancelled and compensated."""
    hotel, flight = harness.participants.block("book-hotel"), harness.participants.block("book-flight")
    saga = await start_sections(harness, "first-0.2-hedged-hotel?flight", "pay")
    await flight.entered.wait()
    hotel.released.set()
    await harness.wait_for_event(saga, CANCEL_REQUESTED)
    flight.released.set()

    assert (await harness.wait_for_ending(saga)).result == ["hotel"]
    assert "cancel-hotel" not in harness.participants.started
    assert harness.participants.keys["cancel-flight"] == [f"{saga.id}:book-flight"]


async def test_answers_in_one_workflow_task_are_ordered_by_the_history(harness: WorkerHarness) -> None:
    """While no worker runs the workflow, both alternatives answer; the first answer in the history wins."""
    hotel, flight = harness.participants.block("book-hotel"), harness.participants.block("book-flight")
    saga = await start_sections(harness, "first-0.2-hedged-hotel?flight", "pay")
    await flight.entered.wait()
    flight.released.set()
    await harness.wait_for_event(saga, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    hotel.released.set()

    assert (await harness.wait_for_ending(saga)).result == ["flight"]
    assert harness.participants.keys["cancel-hotel"] == [f"{saga.id}:book-hotel"]


async def test_a_lost_alternative_that_cannot_be_compensated_makes_the_saga_stuck(
    harness: WorkerHarness,
) -> None:
    """The saga is past the pivot, and waits for a person before closing."""
    hotel = harness.participants.block("book-hotel")
    harness.participants.when("cancel-hotel", rejects("closed"))
    saga = await start_sections(harness, "first-0.2-hotel?flight", "pay")
    await harness.wait_for_event(saga, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=2)
    hotel.released.set()
    await harness.wait_for_status(saga, "stuck")
    operator = SagaClient(harness.client)

    assert (await operator.show(saga.id)).compensating_units == ("alternative",)
    await operator.skip(saga.id, "book-hotel", by=BY, because=BECAUSE)

    assert await harness.wait_for_ending(saga) == Ending("COMPLETED", "settled", result=["flight"])


async def test_a_winner_is_compensated_with_the_saga(harness: WorkerHarness) -> None:
    """Before the pivot, the winner is a unit of the saga like any section."""
    harness.participants.when("book-hotel", fails(), fails())

    saga = await start_sections(harness, "car", "first-hotel?flight", "fail")

    assert await harness.wait_for_ending(saga) == Ending("FAILED", "compensated", "Planned")
    started = harness.participants.started
    assert started.count("cancel-hotel") == started.count("cancel-flight") == 1
    assert started[-3:] == ["cancel-flight", "cancel-car", "tell-customer"]


@pytest.mark.parametrize("hedged", ["", "hedged-"])
async def test_a_cancel_compensates_all_alternatives(harness: WorkerHarness, hedged: str) -> None:
    """Both may have happened; each is compensated once."""
    hotel, flight = harness.participants.block("book-hotel"), harness.participants.block("book-flight")
    saga = await start_sections(harness, "car", f"first-0.2-{hedged}hotel?flight", "pay")
    await flight.entered.wait()
    await saga.cancel()
    await harness.wait_for_event(saga, CANCEL_REQUESTED)
    hotel.released.set()
    flight.released.set()

    assert await harness.wait_for_ending(saga) == Ending("CANCELED", "compensated")
    started = harness.participants.started
    assert sorted(started[3:5]) == ["cancel-flight", "cancel-hotel"]
    assert started[5:] == ["cancel-car", "tell-customer"]


async def test_a_late_child_is_compensated(harness: WorkerHarness) -> None:
    """A lost child is cancelled, and compensates by itself."""
    flight = harness.participants.block("book-flight")
    saga = await start_sections(harness, "first-0.2-leg?hotel", "pay")
    await harness.wait_for_event(saga, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=2)
    flight.released.set()

    assert (await harness.wait_for_ending(saga)).result == ["hotel"]
    assert harness.participants.keys["cancel-flight"] == [f"{saga.id}/leg:book-flight"]


async def test_alternatives_in_a_section_are_compensated_with_the_section(harness: WorkerHarness) -> None:
    """The winner is part of the section around."""
    harness.participants.when("book-hotel", rejects())
    saga = await start_sections(harness, maple("first-hotel?flight", "fail", otherwise=("car",)), "pay")

    assert (await harness.wait_for_ending(saga)).closed == "COMPLETED"
    assert harness.participants.started == ["book-hotel", "book-flight", "cancel-flight", "book-car", "pay"]


async def test_alternatives_after_the_pivot_are_refused(harness: WorkerHarness) -> None:
    """The refusal fails the workflow task until the code is mended."""
    saga = await start_sections(harness, "pay", "first-hotel?flight")

    failed = await harness.wait_for_event(saga, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)

    text = failed.workflow_task_failed_event_attributes.failure.message
    assert "`first_of` comes after the pivot" in text
    assert harness.participants.started == ["pay"]
