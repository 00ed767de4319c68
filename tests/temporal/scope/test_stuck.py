"""A failing compensation makes the saga stuck, and is never given up."""

from datetime import timedelta

import pytest
from temporalio.api.enums.v1 import EventType, TimeoutType
from temporalio.client import WorkflowUpdateFailedError
from temporalio.testing import TimeSkipper

from sagas.operator import COMPLETE, RETRY, SKIP, CompleteRequest, SkipRequest

from ..fixtures.trip_participants import fails, rejects, returns
from ..fixtures.worker_harness import Ending, WorkerHarness

# Tests of cancels, pivots and children cover the cache; here, each workflow task is a replay.
pytestmark = pytest.mark.parametrize("harness", [0], indirect=True, ids=["evicted"])


async def test_failing_compensation_succeeds_without_an_operator(harness: WorkerHarness) -> None:
    """The saga is stuck for a while, and ends as compensated without any verb."""
    harness.client = TimeSkipper(harness.client).client
    harness.participants.when("cancel-flight", fails(), fails(), fails())

    trip = await harness.start_trip("hotel", "flight", "fail")
    await harness.wait_for_status(trip, "stuck")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "Planned")
    assert harness.participants.started[2:] == [
        "cancel-flight",
        "cancel-hotel",  # a failing compensation does not delay the others
        *["cancel-flight"] * 3,
    ]


async def test_pauses_between_the_rounds_grow(harness: WorkerHarness) -> None:
    """The pauses grow from five seconds to five minutes."""
    harness.client = TimeSkipper(harness.client).client
    harness.participants.when("cancel-flight", *[fails()] * 8)

    trip = await harness.start_trip("flight", "fail")

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert await harness.timer_durations(trip) == [5, 10, 20, 40, 80, 160, 300, 300]


async def test_pauses_are_longer_for_large_messages(harness: WorkerHarness) -> None:
    """P7: large messages fill the history, and the server terminates a saga with a full history."""
    harness.client = TimeSkipper(harness.client).client
    harness.participants.when("cancel-flight", *[fails()] * 8)

    trip = await harness.start_trip("big-900000", "fail")

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert await harness.timer_durations(trip) == [5, 10, 20, 40, 80, 160, 320, 640]


async def test_a_failure_is_shown_before_the_end_of_the_round(harness: WorkerHarness) -> None:
    """P8: an operator can skip the failed compensation while other compensations still run."""
    harness.participants.when("cancel-flight", rejects("too_late"))
    hotel = harness.participants.block("cancel-hotel")
    trip = await harness.start_trip("hotel", "flight", "fail")
    await hotel.entered.wait()

    await harness.wait_for_status(trip, "stuck")
    details = await harness.current_details(trip)
    assert details.splitlines()[0] == "**stuck**: book-flight: too_late, sorry"
    await harness.send_update(trip, SKIP, SkipRequest(by="mia", because="it has left", step="book-flight"))

    hotel.released.set()
    assert (await harness.wait_for_ending(trip)).saga == "settled"
    assert harness.participants.started[2:] == ["cancel-flight", "cancel-hotel"]


async def test_a_rejected_compensation_is_not_retried_with_the_others(harness: WorkerHarness) -> None:
    """The rejected compensation waits for an operator, without a timer after the other retries."""
    harness.client = TimeSkipper(harness.client).client
    harness.participants.when("cancel-flight", rejects("too_late"))
    harness.participants.when("cancel-hotel", *[fails()] * 4)
    trip = await harness.start_trip("hotel", "flight", "fail")

    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=3)
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, nth=9)
    details = await harness.current_details(trip)
    assert details.splitlines()[0] == "**stuck**: book-flight: too_late, sorry"
    assert harness.participants.started[2:] == ["cancel-flight", *["cancel-hotel"] * 5]
    await harness.retry_stuck(trip)

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started[8:] == ["cancel-flight"]
    assert await harness.timer_durations(trip) == [5, 10]


async def test_a_rejected_compensation_is_not_retried_after_a_skip(harness: WorkerHarness) -> None:
    """The manual resolution of a step has no effect on another rejected compensation."""
    harness.participants.when("cancel-flight", rejects("too_late"))
    harness.participants.when("cancel-hotel", rejects("closed"))
    trip = await harness.start_trip("hotel", "flight", "fail")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED, nth=2)

    await harness.send_update(trip, SKIP, SkipRequest(by="mia", because="it has left", step="book-flight"))
    assert harness.participants.started[2:] == ["cancel-flight", "cancel-hotel"]
    await harness.retry_stuck(trip)

    assert (await harness.wait_for_ending(trip)).saga == "settled"
    assert harness.participants.started[4:] == ["cancel-hotel"]


@pytest.mark.parametrize("verb", [SKIP, RETRY])
async def test_a_compensation_without_a_worker_makes_the_saga_stuck(
    harness: WorkerHarness, verb: str
) -> None:
    """P8: the saga shows the reason and takes verbs; the compensation is retried like any other."""
    trip = await harness.start_trip("hotel-with-unpolled-compensation", "fail")

    await harness.wait_for_status(trip, "stuck")
    details = await harness.current_details(trip)
    assert details.splitlines()[0] == "**stuck**: book-hotel: no worker started the activity in time"
    if verb == SKIP:
        await harness.send_update(
            trip, SKIP, SkipRequest(by="mia", because="they are bankrupt", step="book-hotel")
        )
    else:
        await harness.start_worker("unpolled-queue", workflows=False)
        await harness.retry_stuck(trip)

    assert (await harness.wait_for_ending(trip)).saga == ("settled" if verb == SKIP else "compensated")
    assert harness.participants.started[1:] == ([] if verb == SKIP else ["cancel-hotel"])


async def test_a_worker_lost_between_two_attempts_does_not_prolong_the_round(harness: WorkerHarness) -> None:
    """P8: the same timeout covers the earlier attempts and the wait for the next worker."""
    latch = harness.participants.block("cancel-hotel")
    worker = await harness.start_worker("unpolled-queue", workflows=False)
    trip = await harness.start_trip("hotel-with-late-compensation-worker", "fail")
    await latch.entered.wait()
    await harness.stop_workers(worker)

    timed_out = await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT)
    failure = timed_out.activity_task_timed_out_event_attributes.failure
    assert failure.timeout_failure_info.timeout_type == TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE
    await harness.wait_for_status(trip, "stuck")
    await harness.start_worker("unpolled-queue", workflows=False)
    await harness.retry_stuck(trip)

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started[1:] == ["cancel-hotel", "cancel-hotel"]


@pytest.mark.parametrize("verb", [COMPLETE, RETRY])
async def test_a_step_after_the_pivot_without_a_worker_makes_the_saga_stuck(
    harness: WorkerHarness, verb: str
) -> None:
    """The probe is not scheduled, because the probe would find no worker either."""
    trip = await harness.start_trip("pay", "car-with-probe-on-unpolled-queue")

    await harness.wait_for_status(trip, "stuck")
    if verb == COMPLETE:
        request = CompleteRequest(by="mia", because="by bus", step="book-car", result={"number": "c-1"})
        await harness.send_update(trip, COMPLETE, request)
    else:
        await harness.start_worker("unpolled-queue", workflows=False)
        await harness.retry_stuck(trip)

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started == (["pay"] if verb == COMPLETE else ["pay", "book-car"])


@pytest.mark.parametrize(
    ("do", "waits"),
    [
        (("hotel", "fail"), {"book-hotel": 0, "compensate.book-hotel": 45}),
        (
            ("pay-probed", "probed-hotel"),
            {"pay": 0, "probe.pay": 45, "probed-hotel": 45, "probe.probed-hotel": 45},
        ),
    ],
)
async def test_only_mandatory_activities_limit_the_wait_for_a_worker(
    harness: WorkerHarness, do: tuple[str, ...], waits: dict[str, int]
) -> None:
    """Compensations, probes and later steps have a schedule-to-start timeout; the pivot does not."""
    harness.participants.when("pay", fails())
    harness.participants.when("book-hotel", *[fails()] * ("pay-probed" in do))
    found = returns({"outcome": "done", "result": {"number": "1"}})
    harness.participants.when("find-payment", found)
    harness.participants.when("find-hotel", found)
    trip = await harness.start_trip(*do)
    await harness.wait_for_ending(trip)

    scheduled = [e.activity_task_scheduled_event_attributes async for e in trip.fetch_history_events()]
    assert {
        each.activity_id: each.schedule_to_start_timeout.ToTimedelta()
        for each in scheduled
        if each.activity_id
    } == {activity_id: timedelta(seconds=seconds) for activity_id, seconds in waits.items()}


async def test_details_show_failing_and_pending_compensations(harness: WorkerHarness) -> None:
    """The details in the Web UI name the failing steps, before the pivot and after the pivot."""
    harness.participants.when("cancel-flight", rejects("too_late"))
    harness.participants.when("cancel-hotel", rejects("closed"))
    trip = await harness.start_trip("hotel", "look", "flight", "car", "fail")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED, nth=2)
    before = await harness.current_details(trip)
    harness.participants.when("book-hotel", rejects("closed"))
    forward = await harness.start_trip("pay", "hotel")
    await harness.wait_for_status(forward, "stuck")

    assert before.splitlines()[0] == "**stuck**: book-flight: too_late, sorry; book-hotel: closed, sorry"
    assert before.splitlines()[4:] == [
        "| book-hotel | ✓ done | **keeps failing** |",
        "| look-around | ✓ done |  |",
        "| book-flight | ✓ done | **keeps failing** |",
        "| book-car | ✓ done | ✓ compensated |",
    ]
    assert (await harness.current_details(forward)).splitlines()[
        5
    ] == "| book-hotel | … under way, **keeps failing** |  |"


async def test_rejected_compensation_waits_for_an_operator(harness: WorkerHarness) -> None:
    """No timer runs, because a retry would be rejected again; `saga-retry` ends the wait."""
    harness.participants.when("cancel-hotel", rejects("too_late"))
    trip = await harness.start_trip("hotel", "fail")
    await harness.wait_for_status(trip, "stuck")

    assert await harness.retry_stuck(trip) == "stuck"

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "Planned")
    assert harness.participants.started == ["book-hotel", "cancel-hotel", "cancel-hotel"]
    kinds = {event.event_type async for event in trip.fetch_history_events()}
    assert EventType.EVENT_TYPE_TIMER_STARTED not in kinds


async def test_retry_of_a_running_saga_is_refused(harness: WorkerHarness) -> None:
    """The refused verb has no effect on the saga."""
    trip = await harness.start_trip("hotel", "wait")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)

    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await harness.retry_stuck(trip)

    assert "not stuck" in str(refused.value.cause)
    await trip.signal("go")
    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


@pytest.mark.parametrize("note", [{}, {"by": "", "because": "x"}, {"by": "mia", "because": "x", "x": 1}, 7])
async def test_retry_with_an_invalid_note_is_refused(harness: WorkerHarness, note: object) -> None:
    """The operator and the reason are required; after a refused retry, the saga is still stuck."""
    harness.participants.when("cancel-hotel", rejects())
    trip = await harness.start_trip("hotel", "fail")
    await harness.wait_for_status(trip, "stuck")

    with pytest.raises(WorkflowUpdateFailedError):
        await trip.execute_update(RETRY, note)

    await harness.retry_stuck(trip)
    assert (await harness.wait_for_ending(trip)).saga == "compensated"


async def test_retry_wakes_a_stuck_pivot(harness: WorkerHarness) -> None:
    """The verb ends the pause before the next attempt of the pivot at once."""
    harness.participants.when("pay", fails())
    trip = await harness.start_trip("hotel", "pay-with-long-backoff")
    await harness.wait_for_status(trip, "stuck")

    await harness.retry_stuck(trip)

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started == ["book-hotel", "pay", "pay"]
