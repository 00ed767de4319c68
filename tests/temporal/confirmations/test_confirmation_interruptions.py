"""The start of the first confirmation is a pivot: a saga that is interrupted afterwards only goes forward."""

import pytest
from temporalio.api.enums.v1 import EventType

from sagas.operator import (
    COMPENSATE,
    COMPLETE,
    HOLD,
    RESUME,
    SKIP,
    CompleteRequest,
    OperatorRequest,
    RecoveryDirection,
    RescueDecision,
    SagaClient,
    SkipRequest,
    render_preview,
    render_timeline,
)

from ..fixtures.trip_participants import fails, rejects
from ..fixtures.trip_plan import TripPlan
from ..fixtures.trip_rescues import rescued
from ..fixtures.worker_harness import Ending, WorkerHarness

NOTE = OperatorRequest(by="mia", because="x")
LEG = TripPlan(do=("cab",), name="leg")


async def test_a_cancel_before_the_first_confirmation_cancels_the_reservations(
    harness: WorkerHarness,
) -> None:
    """The last step is under way."""
    latch = harness.participants.block("book-flight")
    trip = await harness.start_trip("room", LEG, "flight")
    await latch.entered.wait()

    await trip.cancel()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED)
    latch.released.set()

    assert (await harness.wait_for_ending(trip)).closed == "CANCELED"
    assert harness.participants.started[3:] == ["cancel-flight", "cancel-car", "cancel-hotel"]


@pytest.mark.parametrize("is_cancelled_first", [True, False])
async def test_a_cancel_in_the_task_of_the_last_answer_cancels_the_reservations(
    harness: WorkerHarness, *, is_cancelled_first: bool
) -> None:
    """The workflow task receives the answer and the cancel together, before the first confirmation."""
    await harness.stop_workers()
    await harness.start_worker(workflows=False)
    worker = await harness.start_worker(activities=False)
    latch = harness.participants.block("book-car")
    trip = await harness.start_trip("room", "cab")
    await latch.entered.wait()
    await harness.stop_workers(worker)

    if is_cancelled_first:
        await trip.cancel()
    latch.released.set()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=2)
    if not is_cancelled_first:
        await trip.cancel()
    await harness.start_worker(activities=False)

    assert (await harness.wait_for_ending(trip)).closed == "CANCELED"
    assert harness.participants.started[2:] == ["cancel-car", "cancel-hotel"]


async def test_no_cancel_passes_the_first_confirmation(harness: WorkerHarness) -> None:
    """Nor does a request to compensate, or the end of the timeout; the saga confirms and completes."""
    latch = harness.participants.block("confirm-hotel")
    trip = await harness.start_trip("room", LEG, seconds=60)
    await latch.entered.wait()

    await trip.cancel()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
    refusal = await harness.rejected_update(trip, COMPENSATE, NOTE)
    latch.released.set()

    assert "past its pivot" in refusal
    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started[2:] == ["confirm-hotel", "confirm-car"]


async def test_a_failing_confirmation_is_repeated_and_delays_no_other(harness: WorkerHarness) -> None:
    """The saga is stuck meanwhile."""
    harness.participants.when("confirm-hotel", fails(), fails())
    trip = await harness.start_trip("room", "cab")

    await harness.wait_for_status(trip, "stuck")

    assert await harness.wait_for_ending(trip) == Ending("COMPLETED", "completed", result=["room", "cab"])
    assert harness.participants.started[2:] == [
        "confirm-hotel",
        "confirm-hotel",
        "confirm-car",
        "confirm-hotel",
    ]


async def test_a_rejected_confirmation_waits_for_an_operator(harness: WorkerHarness) -> None:
    """The confirmation cannot be skipped; after the manual confirmation, the saga is settled."""
    harness.participants.when("confirm-hotel", rejects("gone"))
    trip = await harness.start_trip("room", LEG)
    await harness.wait_for_status(trip, "stuck")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=2)
    operators = SagaClient(harness.client)

    shown = render_timeline(await operators.show(trip.id))
    preview = await operators.preview(trip.id)
    details = await harness.current_details(trip)
    refusal = await harness.rejected_update(
        trip, SKIP, SkipRequest(by="mia", because="x", step="confirm.book-hotel")
    )
    await harness.send_update(
        trip, COMPLETE, CompleteRequest(by="mia", because="by phone", step="confirm.book-hotel")
    )

    assert "confirmation confirm-hotel keeps failing: gone, sorry" in shown
    assert "confirmed by confirm-car" in shown
    assert preview.recovery_direction is RecoveryDirection.FORWARD
    assert [each.address for each in preview.confirmations] == ["book-hotel"]
    assert "1 confirmation still to run" in render_preview(preview, width=120)
    assert "confirmation **keeps failing**" in details
    assert "cannot be skipped" in refusal
    ending = await harness.wait_for_ending(trip)
    assert (ending.closed, ending.saga) == ("COMPLETED", "settled")
    assert harness.participants.started[2:] == ["confirm-hotel", "confirm-car"]
    assert "confirmed manually" in render_timeline(await operators.show(trip.id))


async def test_a_retry_repeats_a_rejected_confirmation(harness: WorkerHarness) -> None:
    """After the participant was mended."""
    harness.participants.when("confirm-hotel", rejects())
    trip = await harness.start_trip("room", "pay")
    await harness.wait_for_status(trip, "stuck")

    await harness.retry_stuck(trip)

    assert (await harness.wait_for_ending(trip)).saga == "completed"
    assert harness.participants.started[2:] == ["confirm-hotel", "confirm-hotel"]


async def test_no_confirmation_starts_during_a_hold(harness: WorkerHarness) -> None:
    """The next confirmation starts when the hold ends."""
    latch = harness.participants.block("confirm-hotel")
    trip = await harness.start_trip("room", "cab")
    await latch.entered.wait()
    await harness.send_update(trip, HOLD, NOTE)
    latch.released.set()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_TIMER_STARTED)

    started = list(harness.participants.started)
    await harness.send_update(trip, RESUME, NOTE)

    assert started[2:] == ["confirm-hotel"]
    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started[2:] == ["confirm-hotel", "confirm-car"]


async def test_a_saga_terminated_before_the_first_confirmation_is_compensated(harness: WorkerHarness) -> None:
    """The preview names the confirmations that the end of the saga would have run."""
    latch = harness.participants.block("book-flight")
    trip = await harness.start_trip("room", LEG, "flight")
    await latch.entered.wait()
    preview = await SagaClient(harness.client).preview(trip.id)
    await trip.terminate("by mistake")
    latch.released.set()

    rescue = await rescued(harness, trip.id)

    assert [each.address for each in preview.confirmations] == ["book-hotel", "leg:book-car"]
    assert rescue.decision is RescueDecision.COMPENSATING
    assert harness.participants.started[3:] == ["cancel-flight", "cancel-car", "cancel-hotel"]


@pytest.mark.parametrize("confirmed", [0, 1])
async def test_the_rescue_of_a_saga_terminated_while_confirming_finishes_the_confirmations(
    harness: WorkerHarness, confirmed: int
) -> None:
    """Nothing is compensated; a confirmation that may have happened is repeated with the same key."""
    latch = harness.participants.block(["confirm-hotel", "confirm-car"][confirmed])
    trip = await harness.start_trip("room", LEG)
    await latch.entered.wait()
    await trip.terminate("by mistake")
    latch.released.set()
    preview = await SagaClient(harness.client).preview(trip.id)

    rescue = await rescued(harness, trip.id)

    assert preview.compensations == ()
    assert [each.address for each in preview.confirmations] == ["book-hotel", "leg:book-car"][confirmed:]
    assert rescue.decision is RescueDecision.CONTINUING
    assert set(harness.participants.started) == {"book-hotel", "book-car", "confirm-hotel", "confirm-car"}
    assert len(set(harness.participants.keys["confirm-car"])) == 1


async def test_a_confirming_saga_cannot_be_terminated_by_a_rescue(harness: WorkerHarness) -> None:
    """A saga whose confirmation may have happened is not compensated."""
    latch = harness.participants.block("confirm-hotel")
    trip = await harness.start_trip("room")
    await latch.entered.wait()

    with pytest.raises(Exception, match="the pivot is done or in doubt"):
        await SagaClient(harness.client).rescue(trip.id, by="mia", because="x", terminate=True)
    latch.released.set()

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
