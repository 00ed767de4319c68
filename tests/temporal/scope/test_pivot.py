"""The point of no return: what a cancel may do before, in and after it."""

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.testing import TimeSkipper

from ..fixtures.trip_participants import ActivityLatch, Response, fails, rejects, returns
from ..fixtures.trip_plan import TripPlan
from ..fixtures.worker_harness import Ending, WorkerHarness

CANCELLED = Ending("CANCELED", "compensated")
CANCEL_REQUESTED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED


async def test_pivot_that_no_worker_took_is_withdrawn_by_a_cancel(harness: WorkerHarness) -> None:
    """It cannot have happened: everything before it is made up for."""
    trip = await harness.start_trip("hotel", "pay-on-unpolled-queue", "ticket")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, nth=2)

    await trip.cancel()

    assert await harness.wait_for_ending(trip) == CANCELLED
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_pivot_that_ends_well_in_spite_of_a_cancel_completes(harness: WorkerHarness) -> None:
    """It has begun, so its verdict decides: done."""
    latch = harness.participants.block("pay")
    trip = await harness.start_trip("hotel", "pay", "short-sleep", "ticket")
    await latch.entered.wait()

    await trip.cancel()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED)
    latch.released.set()

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started == ["book-hotel", "pay", "send-ticket"]


async def test_pivot_that_obeys_a_cancel_is_tried_again_until_it_says_how_it_ended(
    harness: WorkerHarness,
) -> None:
    """It has begun and may have happened: only the participant can tell, by the same key."""
    harness.client = TimeSkipper(harness.client).client
    latch = ActivityLatch()
    harness.participants.when("pay", latch.block_with_heartbeats)
    trip = await harness.start_trip("hotel", "pay-with-heartbeat", "short-sleep", "ticket")
    await latch.entered.wait()

    await trip.cancel()

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.keys["pay"] == [f"{trip.id}:pay"] * 2


async def test_cancel_that_arrives_with_the_answer_of_the_pivot_asks_again(harness: WorkerHarness) -> None:
    """Temporal drops an answer that comes together with a cancel; the same key gets it once more."""
    await harness.stop_workers()
    workflows = await harness.start_worker(activities=False)
    await harness.start_worker(workflows=False)
    latch = harness.participants.block("pay")
    trip = await harness.start_trip("hotel", "pay", "ticket")
    await latch.entered.wait()
    await harness.stop_workers(workflows)
    latch.released.set()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED, nth=3)
    await trip.cancel()

    await harness.start_worker(activities=False)

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert set(harness.participants.keys["pay"]) == {f"{trip.id}:pay"}
    assert "cancel-hotel" not in harness.participants.started


async def test_pivot_that_refuses_after_a_cancel_compensates(harness: WorkerHarness) -> None:
    """Its verdict decides: rejected, so the cancel takes its course."""
    harness.client = TimeSkipper(harness.client).client
    latch = ActivityLatch()
    harness.participants.when("pay", latch.block_with_heartbeats, rejects())
    trip = await harness.start_trip("hotel", "pay-with-heartbeat")
    await latch.entered.wait()

    await trip.cancel()

    assert await harness.wait_for_ending(trip) == CANCELLED
    assert harness.participants.started == ["book-hotel", "pay", "pay", "cancel-hotel"]


async def test_pivot_that_refuses_compensates_everything_before_it(harness: WorkerHarness) -> None:
    """Rejected: it did not happen."""
    harness.participants.when("pay", rejects("card_declined"))

    trip = await harness.start_trip("hotel", "flight", "pay", "ticket")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "card_declined")
    assert harness.participants.started[2:] == ["pay", "cancel-flight", "cancel-hotel"]


async def test_pivot_of_unknown_outcome_is_stuck_until_there_is_a_verdict(harness: WorkerHarness) -> None:
    """It may have happened, so it can neither be given up nor be compensated."""
    harness.client = TimeSkipper(harness.client).client
    harness.participants.when("pay", *[fails()] * 6)

    trip = await harness.start_trip("hotel", "pay")
    await harness.wait_for_status(trip, "stuck")

    ending = await harness.wait_for_ending(trip)
    assert (ending.closed, ending.saga) == ("COMPLETED", "completed")
    assert harness.participants.started == ["book-hotel", *["pay"] * 7]
    # Those of its policy, and then longer ones, lest its history is full before there is a verdict.
    assert await harness.timer_durations(trip) == [0.02, 5, 10, 20, 40, 80]


async def test_pivot_with_unlimited_attempts_is_stuck_after_its_schedule_to_close_timeout(
    harness: WorkerHarness,
) -> None:
    """The timeout ends the fast attempts; then the saga attempts the pivot at growing intervals."""
    harness.client = TimeSkipper(harness.client).client
    harness.participants.when("pay", *[fails()] * 5)

    trip = await harness.start_trip("hotel", "pay-with-unlimited-attempts")
    await harness.wait_for_status(trip, "stuck")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    # Two attempts of 0.2 s fit into 0.5 s.
    assert await harness.timer_durations(trip) == [0.02, 5, 10, 20, 40]


async def test_pauses_of_a_pivot_are_never_shorter_than_those_of_its_policy(harness: WorkerHarness) -> None:
    """Whoever declares them knows its participant."""
    harness.client = TimeSkipper(harness.client).client
    harness.participants.when("pay", fails(), fails())

    trip = await harness.start_trip("pay-with-long-backoff")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert await harness.timer_durations(trip) == [300, 300]


@pytest.mark.parametrize("answer", [fails(final=True), returns(["unreadable"])], ids=["broken", "unreadable"])
async def test_pivot_that_would_be_answered_the_same_waits_for_a_person(
    harness: WorkerHarness, answer: Response
) -> None:
    """No timer runs, however many attempts its policy has; `saga-retry` ends the wait."""
    harness.participants.when("pay", answer)
    trip = await harness.start_trip("hotel", "pay")
    await harness.wait_for_status(trip, "stuck")
    assert await harness.timer_durations(trip) == []

    await harness.retry_stuck(trip)

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started == ["book-hotel", "pay", "pay"]


async def test_pivot_with_a_probe_is_asked_for_until_there_is_a_verdict(harness: WorkerHarness) -> None:
    """The participant may know later what it does not know now."""
    harness.client = TimeSkipper(harness.client).client
    harness.participants.when("pay", *[fails(final=True)] * 2)
    harness.participants.when(
        "find-payment", fails(), returns({"outcome": "done", "result": {"number": "p-1"}})
    )

    trip = await harness.start_trip("pay-probed")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started == ["pay", "find-payment"] * 2
    assert await harness.timer_durations(trip) == [5]


@pytest.mark.parametrize("wait", ["short-sleep", "wait", "wait-ignoring-cancel"])
async def test_cancel_after_the_pivot_changes_nothing(harness: WorkerHarness, wait: str) -> None:
    """Not even in a timer or a condition of the workflow's own."""
    trip = await harness.start_trip("hotel", "pay", wait, "flight", "ticket")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, nth=3)

    await trip.cancel()
    await harness.wait_for_event(trip, CANCEL_REQUESTED)
    await trip.signal("go")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started == ["book-hotel", "pay", "book-flight", "send-ticket"]


async def test_cancel_of_a_step_after_the_pivot_changes_nothing(harness: WorkerHarness) -> None:
    """The activity is not even told."""
    latch = ActivityLatch()
    harness.participants.when("book-car", latch.block_with_heartbeats)
    trip = await harness.start_trip("pay", "car", "ticket")
    await latch.entered.wait()

    await trip.cancel()
    await harness.wait_for_event(trip, CANCEL_REQUESTED)
    latch.released.set()

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.log == [
        "+pay",
        "-pay",
        "+book-car",
        "-book-car",
        "+send-ticket",
        "-send-ticket",
    ]


async def test_time_limit_after_a_cancelled_pivot_still_fires(harness: WorkerHarness) -> None:
    """The guard keeps the workflow's cancel away, and nothing else."""
    latch = harness.participants.block("pay")
    trip = await harness.start_trip("pay", "asyncio-timeout", "ticket")
    await latch.entered.wait()
    await trip.cancel()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED)

    latch.released.set()

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


async def test_step_after_the_pivot_is_tried_until_it_is_done(harness: WorkerHarness) -> None:
    """A refusal there waits for a person, and is never compensated."""
    harness.participants.when("send-ticket", rejects())
    trip = await harness.start_trip("hotel", "pay", "ticket")
    await harness.wait_for_status(trip, "stuck")

    await harness.retry_stuck(trip)

    ending = await harness.wait_for_ending(trip)
    assert (ending.closed, ending.saga) == ("COMPLETED", "completed")
    assert harness.participants.started == ["book-hotel", "pay", "send-ticket", "send-ticket"]


async def test_error_after_the_pivot_fails_the_task_and_not_the_workflow(harness: WorkerHarness) -> None:
    """It is a bug in the workflow, which waits for better code; nothing is lost meanwhile."""
    trip = await harness.start_trip("hotel", "pay", "fail")

    failed = await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)

    message = failed.workflow_task_failed_event_attributes.failure.message
    assert "after the pivot" in message
    assert harness.participants.started == ["book-hotel", "pay"]
    await trip.terminate("the code is not going to be mended")
    harness.workflow_ids.remove(trip.id)  # what failed its tasks fails in replay


@pytest.mark.parametrize(
    ("do", "message"),
    [
        (("pay", "pay-with-heartbeat"), "second pivot"),
        (("pay", TripPlan(do=("look",))), "comes after the pivot"),
    ],
    ids=["second-pivot", "child-after-pivot"],
)
async def test_what_may_fail_has_no_place_after_the_pivot(
    harness: WorkerHarness, do: tuple[str | TripPlan, ...], message: str
) -> None:
    """A badly written saga is told so, in its failing workflow task."""
    trip = await harness.start_trip(*do)

    failed = await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)

    assert message in failed.workflow_task_failed_event_attributes.failure.message
    await trip.terminate("the code is not going to be mended")
    harness.workflow_ids.remove(trip.id)  # what failed its tasks fails in replay


@pytest.mark.parametrize("do", [("hotel", "pay", "wait-after-block"), ("hotel", "car", "wait-after-block")])
async def test_cancel_after_the_saga_has_completed_changes_nothing(
    harness: WorkerHarness, do: tuple[str, ...]
) -> None:
    """P6: a workflow whose effects are all there does not close as if there were none."""
    trip = await harness.start_trip(*do)
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=2)
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, nth=3)

    await trip.cancel()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, nth=4)
    await trip.signal("go")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started == [
        {"hotel": "book-hotel", "car": "book-car", "pay": "pay"}[w] for w in do[:2]
    ]


async def test_pivot_in_doubt_that_no_worker_takes_makes_the_saga_stuck(harness: WorkerHarness) -> None:
    """P8: nothing but a worker can tell what became of it, and a person can have it asked for again."""
    await harness.stop_workers()
    await harness.start_worker(activities=False)
    doers = await harness.start_worker(workflows=False)
    latch = harness.participants.block("pay")
    trip = await harness.start_trip("pay-with-schedule-to-start")
    await latch.entered.wait()

    await harness.stop_workers(doers)
    await harness.wait_for_status(trip, "stuck")
    assert "pay: no worker started the activity in time" in await harness.current_details(trip)
    latch.released.set()
    await harness.start_worker(workflows=False)
    await harness.retry_stuck(trip)

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
