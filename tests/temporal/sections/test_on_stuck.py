"""With `OnStuck.WAIT`, an older compensation starts only after the newer ones are done or resolved."""

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.testing import TimeSkipper

from sagas import CompensationOrder, OnStuck
from sagas.operator import SKIP, CompensationState, SagaClient, SkipRequest, render_timeline

from ..fixtures.trip_participants import fails, rejects
from ..fixtures.trip_plan import TripPlan
from ..fixtures.trip_rescues import rescue
from ..fixtures.worker_harness import Handle, WorkerHarness

pytestmark = pytest.mark.parametrize("harness", [0], indirect=True, ids=["evicted"])

WAIT = OnStuck.WAIT
COMPLETED = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED


def skip(step: str) -> SkipRequest:
    return SkipRequest(by="mia", because="it has left", step=step)


async def wait_until_all_is_tried(harness: WorkerHarness, handle: Handle) -> None:
    """Waits until the saga is stuck and has processed all results: only an operator can go on."""
    await harness.wait_for_status(handle, "stuck")
    failed = await harness.wait_for_event(handle, EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED)
    await harness.wait_for_event(handle, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, after=failed.event_id)


async def test_older_compensations_wait_until_the_newer_one_is_done(harness: WorkerHarness) -> None:
    """P5: the failing compensation is retried, and no older one starts before."""
    harness.client = TimeSkipper(harness.client).client
    harness.participants.when("cancel-flight", fails(), fails())
    harness.participants.when("cancel-hotel", fails())

    trip = await harness.start_trip("hotel", "flight", "car", "fail", on_stuck=WAIT)

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started[3:] == [
        "cancel-car",
        *["cancel-flight"] * 3,
        *["cancel-hotel"] * 2,
    ]
    # The first failure of each compensation is followed by the shortest interval.
    assert await harness.timer_durations(trip) == [5, 10]


async def test_older_compensations_run_after_a_manual_resolution(harness: WorkerHarness) -> None:
    """The saga is stuck and shows which compensation waits, and for which one."""
    harness.participants.when("cancel-flight", rejects("too_late"))
    trip = await harness.start_trip("hotel", "flight", "fail", on_stuck=WAIT)
    await wait_until_all_is_tried(harness, trip)
    timeline = await SagaClient(harness.client).show(trip.id)
    details = await harness.current_details(trip)
    assert "cancel-hotel" not in harness.participants.started

    hotel, flight = (line.compensations[0] for line in timeline.steps)
    assert (hotel.state, hotel.behind) == (CompensationState.WAITING, "book-flight")
    assert (flight.state, flight.behind) == (CompensationState.FAILING, "")
    assert "cancel-hotel waits until book-flight is compensated or resolved" in render_timeline(timeline)
    assert "| book-hotel | ✓ done | pending, waits for book-flight |" in details
    assert "'book-hotel' is not stuck" in await harness.rejected_update(trip, SKIP, skip("book-hotel"))
    await harness.send_update(trip, SKIP, skip("book-flight"))

    assert (await harness.wait_for_ending(trip)).saga == "settled"
    assert harness.participants.started[2:] == ["cancel-flight", "cancel-hotel"]


async def test_branches_do_not_wait_for_each_other(harness: WorkerHarness) -> None:
    """In parallel order, the choice changes nothing."""
    harness.participants.when("cancel-flight", rejects("too_late"))
    trip = await harness.start_trip(
        "hotel", "flight", "fail", on_stuck=WAIT, order=CompensationOrder.PARALLEL
    )
    await harness.wait_for_event(trip, COMPLETED, nth=3)
    await harness.wait_for_status(trip, "stuck")

    assert sorted(harness.participants.started[2:]) == ["cancel-flight", "cancel-hotel"]
    await harness.send_update(trip, SKIP, skip("book-flight"))
    assert (await harness.wait_for_ending(trip)).saga == "settled"


@pytest.mark.parametrize("of_root", [OnStuck.WAIT, OnStuck.CONTINUE])
async def test_the_choice_of_the_root_counts_for_a_completed_child(
    harness: WorkerHarness, of_root: OnStuck
) -> None:
    """The child has the other choice."""
    of_child = OnStuck.CONTINUE if of_root is WAIT else WAIT
    harness.participants.when("cancel-flight", rejects("too_late"))
    leg = TripPlan(do=("car", "flight"), on_stuck=of_child)
    trip = await harness.start_trip("hotel", leg, "fail", on_stuck=of_root)
    await wait_until_all_is_tried(harness, trip)
    if of_root is OnStuck.CONTINUE:
        await harness.wait_for_event(trip, COMPLETED, nth=3)

    waiting = [] if of_root is WAIT else ["cancel-car", "cancel-hotel"]
    assert harness.participants.started[3:] == ["cancel-flight", *waiting]
    await harness.send_update(trip, SKIP, skip("leg:book-flight"))
    assert (await harness.wait_for_ending(trip)).saga == "settled"
    assert harness.participants.started[3:] == ["cancel-flight", "cancel-car", "cancel-hotel"]


async def test_the_choice_is_carried_over_continue_as_new(harness: WorkerHarness) -> None:
    """The next run has the choice of the first run."""
    harness.participants.when("cancel-flight", rejects("too_late"))
    trip = await harness.start_trip("hotel", "again", "flight", "fail", on_stuck=WAIT)
    latest = await harness.wait_for_next_run(trip)
    await wait_until_all_is_tried(harness, latest)

    assert "cancel-hotel" not in harness.participants.started
    await harness.send_update(latest, SKIP, skip("book-flight"))
    assert (await harness.wait_for_ending(trip)).saga == "settled"


@pytest.mark.parametrize("is_family", [False, True])
async def test_a_rescue_obeys_the_choice(harness: WorkerHarness, is_family: bool) -> None:  # noqa: FBT001
    """Also where the history of the saga has children only."""
    harness.participants.when("cancel-flight", rejects("too_late"))
    legs = (TripPlan(do=("hotel",), name="first"), TripPlan(do=("flight",), name="second"))
    trip = await harness.start_trip(*(legs if is_family else ("hotel", "flight")), "wait", on_stuck=WAIT)
    ended = EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED if is_family else COMPLETED
    await harness.wait_for_event(trip, ended, nth=2)
    await trip.terminate()

    request = await rescue(harness, trip.id)
    harness.workflow_ids.append(request.workflow_id)
    handle = harness.client.get_workflow_handle(request.workflow_id)
    await wait_until_all_is_tried(harness, handle)
    assert "cancel-hotel" not in harness.participants.started
    assert "waits until" in render_timeline(await SagaClient(harness.client).show(trip.id))
    await harness.send_update(handle, SKIP, skip("second:book-flight" if is_family else "book-flight"))

    assert (await harness.wait_for_ending(handle)).saga == "settled"
    assert harness.participants.started[2:] == ["cancel-flight", "cancel-hotel"]


async def test_older_compensations_wait_for_a_child_with_unknown_compensations(
    harness: WorkerHarness,
) -> None:
    """The newer step is compensated first, and the older one after the resolution of the child."""
    trip = await harness.start_trip("hotel", "anyway-child-with-wrong-result", "car", "fail", on_stuck=WAIT)
    await harness.wait_for_status(trip, "stuck")
    timeline = await SagaClient(harness.client).show(trip.id)
    assert "cancel-hotel" not in harness.participants.started
    assert timeline.steps[0].compensations[0].behind == "wrong-result"

    await harness.send_update(trip, SKIP, skip("wrong-result"))

    assert (await harness.wait_for_ending(trip)).saga == "settled"
    assert harness.participants.started[-2:] == ["cancel-car", "cancel-hotel"]
