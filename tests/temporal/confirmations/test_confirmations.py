"""Reserved steps are confirmed once the saga can no longer fail, or are cancelled."""

import pytest

from ..fixtures.section_saga import SectionSaga, maple, start_sections
from ..fixtures.trip_participants import fails, rejects
from ..fixtures.trip_plan import Booking, TripPlan
from ..fixtures.trip_saga import TripSaga
from ..fixtures.worker_harness import Ending, WorkerHarness

WORKFLOWS = [SectionSaga, TripSaga]


async def test_reserved_steps_are_confirmed_at_the_end_of_the_block(harness: WorkerHarness) -> None:
    """In the order of the reservations, with the key and the result of the action; nothing is cancelled."""
    trip = await harness.start_trip("room", "flight", "cab")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started == [
        "book-hotel",
        "book-flight",
        "book-car",
        "confirm-hotel",
        "confirm-car",
    ]
    assert harness.participants.keys["confirm-hotel"] == harness.participants.keys["book-hotel"]
    assert harness.participants.results == [Booking(number="book-hotel-1")]


async def test_a_failed_saga_cancels_its_reservations(harness: WorkerHarness) -> None:
    """Without a confirmation."""
    harness.participants.when("book-flight", rejects())

    trip = await harness.start_trip("room", "cab", "flight")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "sold_out")
    assert harness.participants.started[3:] == ["cancel-car", "cancel-hotel"]


async def test_steps_after_the_pivot_are_confirmed_as_well(harness: WorkerHarness) -> None:
    """The confirmations wait for the end of the block."""
    trip = await harness.start_trip("room", "pay", "ticket", "cab")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started == [
        "book-hotel",
        "pay",
        "send-ticket",
        "book-car",
        "confirm-hotel",
        "confirm-car",
    ]


async def test_an_unknown_reservation_is_cancelled_and_not_confirmed(harness: WorkerHarness) -> None:
    """A saga that goes on cannot complete, and cancels every reservation."""
    harness.participants.when("book-car", fails())

    trip = await harness.start_trip("room", "anyway-cab", "flight")

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started[3:] == ["cancel-flight", "cancel-car", "cancel-hotel"]


async def test_a_rejected_best_effort_is_not_confirmed(harness: WorkerHarness) -> None:
    """The other reservation is."""
    harness.participants.when("book-car", rejects())

    trip = await harness.start_trip("room", "best-effort-cab")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started[2:] == ["confirm-hotel"]


async def test_the_root_confirms_the_reservations_of_children(harness: WorkerHarness) -> None:
    """At any depth, with the keys of the children, after the pivot of the root."""
    inner = TripPlan(do=("cab",), name="inner")
    leg = TripPlan(do=("room", inner), name="leg")

    trip = await harness.start_trip(leg, "room", "pay")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started == [
        "book-hotel",
        "book-car",
        "book-hotel",
        "pay",
        "confirm-hotel",
        "confirm-car",
        "confirm-hotel",
    ]
    assert harness.participants.keys["confirm-hotel"] == harness.participants.keys["book-hotel"]
    assert harness.participants.keys["confirm-car"] == [f"{trip.id}/leg/inner:book-car"]


async def test_the_root_cancels_the_reservations_of_a_completed_child(harness: WorkerHarness) -> None:
    """The child has confirmed nothing."""
    harness.participants.when("book-flight", rejects())

    trip = await harness.start_trip(TripPlan(do=("room",), name="leg"), "flight")

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started == ["book-hotel", "book-flight", "cancel-hotel"]


async def test_a_pivot_child_hands_its_confirmations_to_the_root(harness: WorkerHarness) -> None:
    """Although the compensations of the child end at the pivot."""
    pivot = TripPlan(do=("room", "pay"), name="payment", is_pivot=True)

    trip = await harness.start_trip("cab", pivot, "ticket")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started[-3:] == ["send-ticket", "confirm-car", "confirm-hotel"]
    assert harness.participants.keys["confirm-hotel"] == [f"{trip.id}/payment:book-hotel"]


async def test_a_continued_saga_confirms_the_reservations_of_earlier_runs(harness: WorkerHarness) -> None:
    """Once, in the order of the reservations, with the results."""
    trip = await harness.start_trip("room", "again", "cab")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started == ["book-hotel", "book-car", "confirm-hotel", "confirm-car"]
    assert harness.participants.results == [Booking(number="book-hotel-1")]


async def test_a_completed_section_is_confirmed_and_a_compensated_one_is_not(harness: WorkerHarness) -> None:
    """The steps of a section that was left by an error are cancelled."""
    harness.participants.when("look-around", rejects())

    saga = await start_sections(
        harness,
        maple("room"),
        maple("cab", "look", otherwise=("cab",), name="oak"),
    )

    assert (await harness.wait_for_ending(saga)).closed == "COMPLETED"
    assert harness.participants.started == [
        "book-hotel",
        "book-car",
        "look-around",
        "cancel-car",
        "book-car",
        "confirm-hotel",
        "confirm-car",
    ]
    assert harness.participants.keys["confirm-car"] == [f"{saga.id}:book-car#2"]


@pytest.mark.parametrize("word", ["compensate-book-car", "forget-book-car"])
async def test_a_compensated_or_forgotten_step_is_not_confirmed(harness: WorkerHarness, word: str) -> None:
    """The other reservation is."""
    saga = await start_sections(harness, "room", "cab", word)

    assert (await harness.wait_for_ending(saga)).closed == "COMPLETED"
    assert harness.participants.keys["confirm-hotel"] == [f"{saga.id}:book-hotel"]
    assert "confirm-car" not in harness.participants.keys


async def test_the_alternative_that_lost_is_cancelled_and_not_confirmed(harness: WorkerHarness) -> None:
    """The winner is confirmed."""
    harness.participants.when("book-car", rejects())

    saga = await start_sections(harness, "first-room,cab?room")

    assert (await harness.wait_for_ending(saga)).closed == "COMPLETED"
    assert harness.participants.keys["cancel-hotel"] == [f"{saga.id}:book-hotel"]
    assert harness.participants.keys["confirm-hotel"] == [f"{saga.id}:book-hotel#2"]
