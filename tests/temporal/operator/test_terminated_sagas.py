"""Sagas are terminated after events of their histories, and rescued."""

import asyncio
from collections import Counter

import pytest
from temporalio.service import RPCError, RPCStatusCode

from sagas.operator import RescueDecision, VerbRefusedError
from tests.sampling import Sampler

from ..fixtures.trip_plan import TripPlan
from ..fixtures.trip_rescues import requested_operations, rescue, rescued, uncompensated_bookings
from ..fixtures.worker_harness import PATIENCE, Handle, WorkerHarness

pytestmark = pytest.mark.parametrize("harness", [1000], indirect=True, ids=["cached"])

Words = tuple[str | TripPlan, ...]
SHAPES: dict[str, Words] = {
    "steps": ("hotel", "flight", "car", "fail"),
    "parallel": ("hotel+flight+car", "hotel", "fail"),
    "child": ("flight", TripPlan(do=("hotel", "car")), "look", "fail"),
    "failing-child": ("flight", TripPlan(do=("hotel", "car", "fail"))),
    "grandchild": ("hotel", TripPlan(do=("car", TripPlan(do=("hotel", "flight"), name="night"))), "fail"),
    "pivot": ("hotel", TripPlan(do=("flight",)), "pay", "car", "ticket"),
}

EVENTS_OF_A_SHAPE = 16


@pytest.mark.parametrize("do", SHAPES.values(), ids=SHAPES.keys())
async def test_terminated_saga_is_rescued(harness: WorkerHarness, do: Words) -> None:
    """After three events of the saga: early, in the middle, and shortly before the end."""
    length = await length_of_history(harness, do)

    decisions = await terminate_and_rescue(harness, do, [length // 4, length // 2, length - 6])

    assert decisions[RescueDecision.COMPENSATING] > 0
    assert bool(decisions[RescueDecision.CONTINUING]) is ("pay" in do)


@pytest.mark.sweep
@pytest.mark.parametrize("name", SHAPES)
async def test_saga_terminated_after_any_event_is_rescued(
    harness: WorkerHarness, name: str, sampler: Sampler, report: list[str]
) -> None:
    """The sweep terminates a saga after each event of an undisturbed saga."""
    do = SHAPES[name]
    numbers = range(1, await length_of_history(harness, do))
    chosen = sampler.choose(f"terminated trips {name}", numbers, EVENTS_OF_A_SHAPE)

    decisions = await terminate_and_rescue(harness, do, chosen)

    report.append(f"terminated {name}: after {len(chosen)} of {len(numbers)} events; {dict(decisions)}")
    if sampler.is_exhaustive:
        assert decisions[RescueDecision.COMPENSATING] > 0
        assert bool(decisions[RescueDecision.CONTINUING]) is ("pay" in do)
    assert decisions[RescueDecision.CONTINUING] == 0 or "pay" in do


async def length_of_history(harness: WorkerHarness, do: Words) -> int:
    """The number of events of an undisturbed saga."""
    trip = await harness.start_trip(*do)
    await harness.wait_for_ending(trip)
    return len((await trip.fetch_history()).events)


async def terminate_and_rescue(harness: WorkerHarness, do: Words, numbers: list[int]) -> Counter[str]:
    """Terminates a saga after each of the events, rescues each saga twice, and counts the decisions.

    Every effect is compensated, or the saga continues past the pivot; the second rescue changes nothing.
    """

    async def run(number: int) -> str:
        trip = await harness.start_trip(*do)
        if not await terminate_after(trip, number):
            return "closed before"
        outcome = await rescued(harness, trip.id)
        calls = requested_operations(harness, trip.id, fenced=True)
        if outcome.decision is RescueDecision.CONTINUING:
            assert ("send-ticket", f"{trip.id}:send-ticket") in calls
            assert not [name for name, _ in calls if name.startswith("cancel-")]
            with pytest.raises(VerbRefusedError, match="completed"):
                await rescue(harness, trip.id)
        else:
            assert uncompensated_bookings(harness, trip.id, fenced=True) == []
            again = await rescue(harness, trip.id)
            assert again == outcome.model_copy(update={"is_new": not outcome.workflow_id})
        assert requested_operations(harness, trip.id, fenced=True) == calls
        return outcome.decision.value

    return Counter(await asyncio.gather(*(run(number) for number in numbers)))


async def terminate_after(handle: Handle, number: int) -> bool:
    """Terminates a saga as soon as the history has `number` events; False if the saga closed before."""
    async with asyncio.timeout(PATIENCE):
        async for event in handle.fetch_history_events(wait_new_event=True):
            if event.event_id >= number:
                break
    try:
        await handle.terminate("interrupted by the test")
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return False
    return True
