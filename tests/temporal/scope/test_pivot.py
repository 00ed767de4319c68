"""The pivot, and the effect of a cancel before, during and after the pivot."""

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.testing import TimeSkipper

from ..fixtures.trip_participants import ActivityLatch, Response, fails, rejects, returns
from ..fixtures.trip_plan import TripPlan
from ..fixtures.worker_harness import Ending, WorkerHarness

CANCELLED = Ending("CANCELED", "compensated")
CANCEL_REQUESTED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED


async def test_pivot_without_a_worker_is_withdrawn_by_a_cancel(harness: WorkerHarness) -> None:
    """The pivot cannot have happened, and every step before the pivot is compensated."""
    trip = await harness.start_trip("hotel", "pay-on-unpolled-queue", "ticket")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, nth=2)

    await trip.cancel()

    assert await harness.wait_for_ending(trip) == CANCELLED
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_pivot_done_in_spite_of_a_cancel_completes(harness: WorkerHarness) -> None:
    """The pivot has started, and the outcome decides: done."""
    latch = harness.participants.block("pay")
    trip = await harness.start_trip("hotel", "pay", "short-sleep", "ticket")
    await latch.entered.wait()

    await trip.cancel()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED)
    latch.released.set()

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started == ["book-hotel", "pay", "send-ticket"]


async def test_pivot_ended_by_a_cancel_is_attempted_until_the_outcome(harness: WorkerHarness) -> None:
    """The pivot may have happened: only the participant knows the outcome, under the same key."""
    harness.client = TimeSkipper(harness.client).client
    latch = ActivityLatch()
    harness.participants.when("pay", latch.block_with_heartbeats)
    trip = await harness.start_trip("hotel", "pay-with-heartbeat", "short-sleep", "ticket")
    await latch.entered.wait()

    await trip.cancel()

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.keys["pay"] == [f"{trip.id}:pay"] * 2


async def test_cancel_together_with_the_answer_of_the_pivot_asks_again(harness: WorkerHarness) -> None:
    """Temporal drops an answer together with a cancel; the saga asks again with the same key."""
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


async def test_pivot_rejected_after_a_cancel_compensates(harness: WorkerHarness) -> None:
    """The outcome of the pivot decides: rejected, and the cancelled saga compensates."""
    harness.client = TimeSkipper(harness.client).client
    latch = ActivityLatch()
    harness.participants.when("pay", latch.block_with_heartbeats, rejects())
    trip = await harness.start_trip("hotel", "pay-with-heartbeat")
    await latch.entered.wait()

    await trip.cancel()

    assert await harness.wait_for_ending(trip) == CANCELLED
    assert harness.participants.started == ["book-hotel", "pay", "pay", "cancel-hotel"]


async def test_rejected_pivot_compensates_every_step_before(harness: WorkerHarness) -> None:
    """A rejected pivot did not happen."""
    harness.participants.when("pay", rejects("card_declined"))

    trip = await harness.start_trip("hotel", "flight", "pay", "ticket")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "card_declined")
    assert harness.participants.started[2:] == ["pay", "cancel-flight", "cancel-hotel"]


async def test_pivot_of_unknown_outcome_is_stuck_until_the_answer(harness: WorkerHarness) -> None:
    """The pivot may have happened: the saga can neither give the pivot up nor compensate."""
    harness.client = TimeSkipper(harness.client).client
    harness.participants.when("pay", *[fails()] * 6)

    trip = await harness.start_trip("hotel", "pay")
    await harness.wait_for_status(trip, "stuck")

    ending = await harness.wait_for_ending(trip)
    assert (ending.closed, ending.saga) == ("COMPLETED", "completed")
    assert harness.participants.started == ["book-hotel", *["pay"] * 7]
    # The pauses of the retry policy, and then longer pauses, because the size of a history is limited.
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


async def test_pauses_of_a_pivot_are_never_shorter_than_in_the_policy(harness: WorkerHarness) -> None:
    """The author of the retry policy knows the participant."""
    harness.client = TimeSkipper(harness.client).client
    harness.participants.when("pay", fails(), fails())

    trip = await harness.start_trip("pay-with-long-backoff")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert await harness.timer_durations(trip) == [300, 300]


@pytest.mark.parametrize("answer", [fails(final=True), returns(["unreadable"])], ids=["broken", "unreadable"])
async def test_pivot_with_a_final_failure_waits_for_an_operator(
    harness: WorkerHarness, answer: Response
) -> None:
    """No timer runs, however many attempts the policy has; `saga-retry` ends the wait."""
    harness.participants.when("pay", answer)
    trip = await harness.start_trip("hotel", "pay")
    await harness.wait_for_status(trip, "stuck")
    assert await harness.timer_durations(trip) == []

    await harness.retry_stuck(trip)

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started == ["book-hotel", "pay", "pay"]


async def test_pivot_with_a_probe_is_repeated_until_the_outcome(harness: WorkerHarness) -> None:
    """The participant may know the outcome later, although not now."""
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
async def test_cancel_after_the_pivot_has_no_effect(harness: WorkerHarness, wait: str) -> None:
    """The cancel does not reach a timer or a condition of the workflow code either."""
    trip = await harness.start_trip("hotel", "pay", wait, "flight", "ticket")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, nth=3)

    await trip.cancel()
    await harness.wait_for_event(trip, CANCEL_REQUESTED)
    await trip.signal("go")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started == ["book-hotel", "pay", "book-flight", "send-ticket"]


async def test_cancel_of_a_step_after_the_pivot_has_no_effect(harness: WorkerHarness) -> None:
    """The activity does not receive the cancel."""
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


async def test_timeout_after_a_cancelled_pivot_still_fires(harness: WorkerHarness) -> None:
    """The saga keeps only the workflow's cancel away from the code in the block."""
    latch = harness.participants.block("pay")
    trip = await harness.start_trip("pay", "asyncio-timeout", "ticket")
    await latch.entered.wait()
    await trip.cancel()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED)

    latch.released.set()

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


async def test_step_after_the_pivot_is_attempted_until_done(harness: WorkerHarness) -> None:
    """A rejection after the pivot waits for an operator, and is never compensated."""
    harness.participants.when("send-ticket", rejects())
    trip = await harness.start_trip("hotel", "pay", "ticket")
    await harness.wait_for_status(trip, "stuck")

    await harness.retry_stuck(trip)

    ending = await harness.wait_for_ending(trip)
    assert (ending.closed, ending.saga) == ("COMPLETED", "completed")
    assert harness.participants.started == ["book-hotel", "pay", "send-ticket", "send-ticket"]


async def test_error_after_the_pivot_fails_the_task_and_not_the_workflow(harness: WorkerHarness) -> None:
    """The workflow has a bug and waits for corrected code, without losing a step."""
    trip = await harness.start_trip("hotel", "pay", "fail")

    failed = await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)

    message = failed.workflow_task_failed_event_attributes.failure.message
    assert "after the pivot" in message
    assert harness.participants.started == ["book-hotel", "pay"]
    await trip.terminate("the code is not going to be mended")
    harness.workflow_ids.remove(trip.id)  # failed workflow tasks also fail in a replay


@pytest.mark.parametrize(
    ("do", "message"),
    [
        (("pay", "pay-with-heartbeat"), "second pivot"),
        (("pay", TripPlan(do=("look",))), "comes after the pivot"),
    ],
    ids=["second-pivot", "child-after-pivot"],
)
async def test_fallible_work_after_the_pivot_is_refused(
    harness: WorkerHarness, do: tuple[str | TripPlan, ...], message: str
) -> None:
    """A definition error after the pivot fails the workflow task with a clear message."""
    trip = await harness.start_trip(*do)

    failed = await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)

    assert message in failed.workflow_task_failed_event_attributes.failure.message
    await trip.terminate("the code is not going to be mended")
    harness.workflow_ids.remove(trip.id)  # failed workflow tasks also fail in a replay


@pytest.mark.parametrize("do", [("hotel", "pay", "wait-after-block"), ("hotel", "car", "wait-after-block")])
async def test_cancel_after_the_saga_has_completed_has_no_effect(
    harness: WorkerHarness, do: tuple[str, ...]
) -> None:
    """P6: the workflow closes as completed, because all effects stay."""
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


async def test_unknown_pivot_without_a_worker_makes_the_saga_stuck(harness: WorkerHarness) -> None:
    """P8: only a worker can find the outcome, and an operator can request another attempt."""
    await harness.stop_workers()
    await harness.start_worker(activities=False)
    activity_worker = await harness.start_worker(workflows=False)
    latch = harness.participants.block("pay")
    trip = await harness.start_trip("pay-with-schedule-to-start")
    await latch.entered.wait()

    await harness.stop_workers(activity_worker)
    await harness.wait_for_status(trip, "stuck")
    assert "pay: no worker started the activity in time" in await harness.current_details(trip)
    latch.released.set()
    await harness.start_worker(workflows=False)
    await harness.retry_stuck(trip)

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
