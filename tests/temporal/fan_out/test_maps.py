"""A map runs a step for each item, at most a limited number at once, each under a key of its own."""

import asyncio

import pytest
from temporalio.api.enums.v1 import EventType

from sagas import CompensationOrder

from ..fixtures.section_saga import SectionSaga, maple, start_sections
from ..fixtures.trip_participants import ActivityLatch, Response, fails, rejects
from ..fixtures.trip_plan import Booking
from ..fixtures.trip_saga import TripSaga
from ..fixtures.worker_harness import Ending, Handle, WorkerHarness

WORKFLOWS = [SectionSaga, TripSaga]
SCHEDULED = EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
COMPLETED = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
FAILED = EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED


async def activity_ids(handle: Handle) -> list[str]:
    """The ids of the scheduled activities, in order."""
    return [
        event.activity_task_scheduled_event_attributes.activity_id
        async for event in handle.fetch_history_events()
        if event.event_type == SCHEDULED
    ]


def in_turn(latches: list[ActivityLatch]) -> list[Response]:
    """Responses that wait for a latch each, and return the number of the latch."""

    def of(number: int, latch: ActivityLatch) -> Response:
        async def respond() -> object:
            await latch.block()
            return Booking(number=str(number))

        return respond

    return [of(number, latch) for number, latch in enumerate(latches)]


async def test_each_item_has_a_key_of_its_own(harness: WorkerHarness) -> None:
    """In the activity id, in the idempotency key, in the summary, and in the key of the compensation."""
    saga = await start_sections(harness, "flight[a,b]", "flight[b]", "fail")

    assert await harness.wait_for_ending(saga) == Ending("FAILED", "compensated", "Planned")
    assert await activity_ids(saga) == [
        "book-flight[a]",
        "book-flight[b]",
        "book-flight[b]#2",
        "compensate.book-flight[b]#2",
        "compensate.book-flight[b]",
        "compensate.book-flight[a]",
        "tell-customer",
    ]
    keys = [f"{saga.id}:book-flight[{place}" for place in ("a]", "b]", "b]#2")]
    assert sorted(harness.participants.keys["book-flight"]) == keys
    assert harness.participants.keys["cancel-flight"] == keys[::-1]
    summaries = [event.user_metadata.summary.data async for event in saga.fetch_history_events()]
    assert b'"book flight [b]"' in summaries
    assert b'"compensate: cancel flight [b]"' in summaries


async def test_results_have_the_order_of_the_items(harness: WorkerHarness) -> None:
    """Also when the last item is done first."""
    latches = [ActivityLatch() for _ in range(3)]
    harness.participants.when("book-flight", *in_turn(latches))
    saga = await start_sections(harness, "flight[a,b,c]", "wait")
    await asyncio.gather(*(latch.entered.wait() for latch in latches))
    order = {key[-2]: n for n, key in enumerate(harness.participants.keys["book-flight"])}
    for done, place in enumerate("cab", start=1):
        latches[order[place]].released.set()
        await harness.wait_for_event(saga, COMPLETED, nth=done)

    await saga.signal("go")

    assert (await harness.wait_for_ending(saga)).closed == "COMPLETED"
    assert await saga.query("bookings") == [[str(order[place]) for place in "abc"]]


async def test_at_most_the_limit_is_under_way(harness: WorkerHarness) -> None:
    """The next item begins when an item has ended, in the order of the items."""
    latches = [ActivityLatch() for _ in range(5)]
    harness.participants.when("book-flight", *in_turn(latches))
    saga = await start_sections(harness, "flight[a,b,c,d,e]<2")
    await asyncio.gather(*(latch.entered.wait() for latch in latches[:2]))

    for number, latch in enumerate(latches):
        scheduled = [each[-2] for each in await activity_ids(saga)]
        assert scheduled == ["a", "b", "c", "d", "e"][: number + 2]
        latch.released.set()
        if number < 3:
            await latches[number + 2].entered.wait()

    assert (await harness.wait_for_ending(saga)).closed == "COMPLETED"


async def test_waiting_items_go_on_after_a_failure(harness: WorkerHarness) -> None:
    """With `FINISH`: every item is tried before the saga compensates."""
    harness.participants.when("book-flight", rejects("no_seat"))
    saga = await start_sections(harness, "flight[a,b,c,d]<1")

    assert await harness.wait_for_ending(saga) == Ending("FAILED", "compensated", "no_seat")
    assert (await activity_ids(saga))[:7] == [
        *(f"book-flight[{place}]" for place in "abcd"),
        *(f"compensate.book-flight[{place}]" for place in "dcb"),
    ]


async def test_no_waiting_item_begins_after_a_failure_that_cancels(harness: WorkerHarness) -> None:
    """With `CANCEL`: the items under way end, and the saga compensates."""
    car = ActivityLatch()
    harness.participants.when("book-car", car.block_with_heartbeats)
    harness.participants.when("book-car", rejects("no_car"))
    saga = await start_sections(harness, "hotel", "car[a,b,c,d]<2!")

    assert await harness.wait_for_ending(saga) == Ending("FAILED", "compensated", "no_car")
    begun = await activity_ids(saga)
    assert begun[:3] == ["book-hotel", "book-car[a]", "book-car[b]"]
    assert "book-car[c]" not in begun
    assert begun[-2:] == ["compensate.book-hotel", "tell-customer"]


async def test_no_waiting_item_begins_after_a_cancel(harness: WorkerHarness) -> None:
    """The items under way end before the saga compensates; the others were never sent."""
    latches = [harness.participants.block("book-flight") for _ in range(2)]
    saga = await start_sections(harness, "flight[a,b,c,d]<2")
    for latch in latches:
        await latch.entered.wait()

    await saga.cancel()
    await harness.wait_for_event(saga, EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED, nth=2)
    for latch in latches:
        latch.released.set()

    assert await harness.wait_for_ending(saga) == Ending("CANCELED", "compensated")
    assert await activity_ids(saga) == [
        "book-flight[a]",
        "book-flight[b]",
        "compensate.book-flight[b]",
        "compensate.book-flight[a]",
        "tell-customer",
    ]


async def test_no_waiting_item_begins_when_a_section_is_overdue(harness: WorkerHarness) -> None:
    """The section compensates the items under way, and the saga goes another way."""
    flight = harness.participants.block("book-flight")
    section = maple("flight[a,b,c]<1", seconds=0.3, otherwise=("car",))
    saga = await start_sections(harness, section)
    await flight.entered.wait()
    await harness.wait_for_event(saga, EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED)
    flight.released.set()

    assert (await harness.wait_for_ending(saga)).closed == "COMPLETED"
    assert await activity_ids(saga) == ["book-flight[a]", "compensate.book-flight[a]", "book-car"]


async def test_a_map_in_a_section_is_compensated_at_once(harness: WorkerHarness) -> None:
    """The order of the section holds for the items; the rest of the saga follows."""
    section = maple("flight[a,b,c]", order=CompensationOrder.PARALLEL)
    saga = await start_sections(harness, "hotel", section, "fail")

    assert await harness.wait_for_ending(saga) == Ending("FAILED", "compensated", "Planned")
    scheduled = [
        event.activity_task_scheduled_event_attributes
        async for event in saga.fetch_history_events()
        if event.event_type == SCHEDULED
    ]
    flights = [each for each in scheduled if each.activity_id.startswith("compensate.book-flight")]
    assert len({each.workflow_task_completed_event_id for each in flights}) == 1
    assert scheduled[-2].activity_id == "compensate.book-hotel"


async def test_items_after_the_pivot_are_tried_until_done(harness: WorkerHarness) -> None:
    """A failed item makes the saga stuck under the keyed address, and is retried."""
    harness.participants.when("send-ticket", fails(final=True))
    saga = await start_sections(harness, "pay", "ticket[a,b]<1")
    await harness.wait_for_status(saga, "stuck")

    await harness.retry_stuck(saga)

    assert (await harness.wait_for_ending(saga)).closed == "COMPLETED"
    assert await activity_ids(saga) == ["pay", "send-ticket[a]", "send-ticket[a]", "send-ticket[b]"]


async def test_a_keyed_step_may_be_best_effort(harness: WorkerHarness) -> None:
    """The failure is recorded under the keyed address, and the saga goes on."""
    harness.participants.when("book-flight", rejects())
    saga = await start_sections(harness, "best-effort-flight[a]", "flight[a]", "pay")

    assert (await harness.wait_for_ending(saga)).closed == "COMPLETED"
    assert await activity_ids(saga) == ["book-flight[a]", "book-flight[a]#2", "pay"]


async def test_a_keyed_step_is_compensated_by_address(harness: WorkerHarness) -> None:
    """Once; the next time has a new address."""
    saga = await start_sections(
        harness, "flight[a,b]", "compensate-book-flight[a]", "flight[a]", "forget-book-flight[b]", "fail"
    )

    assert await harness.wait_for_ending(saga) == Ending("FAILED", "compensated", "Planned")
    assert (await activity_ids(saga))[2:] == [
        "compensate.book-flight[a]",
        "book-flight[a]#2",
        "compensate.book-flight[a]#2",
        "tell-customer",
    ]


@pytest.mark.parametrize(
    "word",
    ["flight[a,b,a]", "flight[a,b@c]", "flight[a b]", "best-effort-flight[a:b]", "flight[a,b]<0", "flight[]"],
)
async def test_a_wrong_map_is_refused_before_any_step(harness: WorkerHarness, word: str) -> None:
    """A malformed or repeated key, or a limit below 1: nothing is sent, and the saga compensates."""
    saga = await start_sections(harness, "hotel", word)

    assert await harness.wait_for_ending(saga) == Ending("FAILED", "compensated", "DefinitionError")
    assert harness.participants.started == ["book-hotel", "cancel-hotel", "tell-customer"]


async def test_continue_as_new_counts_the_executions_of_a_key(harness: WorkerHarness) -> None:
    """The step of the next run has an address and a key of its own."""
    saga = await start_sections(harness, "flight[a,b]", "again", "flight[a]", "fail")
    await harness.wait_for_next_run(saga)

    latest = harness.client.get_workflow_handle(saga.id)
    assert (await harness.wait_for_ending(latest)).code == "Planned"
    assert harness.participants.keys["cancel-flight"] == [
        f"{saga.id}:book-flight[a]#2",
        f"{saga.id}:book-flight[b]",
        f"{saga.id}:book-flight[a]",
    ]
