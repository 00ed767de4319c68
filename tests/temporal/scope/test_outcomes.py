"""Done and unknown actions are compensated, rejected actions are not; the first failure is reported."""

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowExecutionStatus
from temporalio.testing import TimeSkipper

from sagas import CompensationScope

from ..fixtures.trip_participants import fails, rejects, returns
from ..fixtures.worker_harness import Ending, WorkerHarness

# Tests of cancels, pivots and children cover the cache; here, each workflow task is a replay.
pytestmark = pytest.mark.parametrize("harness", [0], indirect=True, ids=["evicted"])


async def test_saga_without_a_failure_completes_and_sets_no_attribute(harness: WorkerHarness) -> None:
    """A saga without a failure sets no search attribute."""
    trip = await harness.start_trip("hotel", "flight", "pay", "ticket")

    assert await harness.wait_for_ending(trip) == Ending(
        "COMPLETED", None, result=["hotel", "flight", "pay", "ticket"]
    )
    assert harness.participants.started == ["book-hotel", "book-flight", "pay", "send-ticket"]


async def test_priorities_of_actions_and_compensations_reach_the_server(harness: WorkerHarness) -> None:
    """The server orders the activities of a task queue by priority."""
    trip = await harness.start_trip("hotel-with-priority", "flight", "fail")
    await harness.wait_for_ending(trip)

    scheduled = [e.activity_task_scheduled_event_attributes async for e in trip.fetch_history_events()]
    assert {each.activity_id: each.priority.priority_key for each in scheduled if each.activity_id} == {
        "book-hotel": 1,
        "book-flight": 0,
        "compensate.book-flight": 0,
        "compensate.book-hotel": 5,
    }


async def test_fairness_of_an_action_reaches_the_server(harness: WorkerHarness) -> None:
    """The scheduled event has the fairness key and the weight, beside the priority."""
    trip = await harness.start_trip("hotel-with-fairness", "fail")
    await harness.wait_for_ending(trip)

    scheduled = [e.activity_task_scheduled_event_attributes async for e in trip.fetch_history_events()]
    (booked, released) = (each.priority for each in scheduled if each.activity_id)
    assert (booked.priority_key, booked.fairness_key, booked.fairness_weight) == (2, "tenant-7", 2.5)
    assert (released.priority_key, released.fairness_key, released.fairness_weight) == (0, "", 0)


async def test_rejected_step_is_not_compensated_and_the_others_are_newest_first(
    harness: WorkerHarness,
) -> None:
    """A rejected action did not happen; the done steps are compensated in reverse order."""
    harness.participants.when("book-car", rejects())

    trip = await harness.start_trip("hotel", "flight", "car")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "sold_out")
    assert harness.participants.started == [
        "book-hotel",
        "book-flight",
        "book-car",
        "cancel-flight",
        "cancel-hotel",
    ]


async def test_rejected_step_is_compensated_where_the_scope_is_attempted(harness: WorkerHarness) -> None:
    """The scope `ATTEMPTED` is for participants with effects in spite of a rejection."""
    harness.participants.when("book-flight", rejects())

    trip = await harness.start_trip("hotel", "flight", scope=CompensationScope.ATTEMPTED)

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started == ["book-hotel", "book-flight", "cancel-flight", "cancel-hotel"]


async def test_step_with_only_failed_attempts_is_compensated(harness: WorkerHarness) -> None:
    """The outcome is unknown; the compensation gets the key of the action, and no result."""
    harness.participants.when("book-hotel", fails(), fails())

    trip = await harness.start_trip("hotel")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "unknown_outcome")
    assert harness.participants.started == ["book-hotel", "book-hotel", "cancel-hotel"]
    assert harness.participants.results == [None]
    assert harness.participants.keys["cancel-hotel"] == [f"{trip.id}:book-hotel"]
    assert harness.participants.keys["book-hotel"] == [f"{trip.id}:book-hotel"] * 2


@pytest.mark.parametrize("error_type", ["Broken", "Lost"])
async def test_non_retryable_error_type_ends_the_attempts_with_an_unknown_outcome(
    harness: WorkerHarness, error_type: str
) -> None:
    """The saga does not attempt the action again, and compensates, because the action may have happened."""
    harness.participants.when("book-hotel", fails(error_type=error_type))

    trip = await harness.start_trip("hotel-with-non-retryable-errors")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "unknown_outcome")
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_other_error_types_are_attempted_again(harness: WorkerHarness) -> None:
    """Error types outside of the policy's list are attempted up to the policy's maximum."""
    harness.participants.when("book-hotel", fails(error_type="Busy"), fails(error_type="Busy"))

    trip = await harness.start_trip("hotel-with-non-retryable-errors")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started == ["book-hotel"] * 3


async def test_non_retryable_error_type_among_the_rejections_is_a_rejection(harness: WorkerHarness) -> None:
    """The saga neither attempts the action again nor compensates the action."""
    harness.participants.when("book-hotel", fails())

    trip = await harness.start_trip("flight", "hotel-with-non-retryable-rejection")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "Broken")
    assert harness.participants.started == ["book-flight", "book-hotel", "cancel-flight"]


@pytest.mark.parametrize("error_type", ["Full", "Closed"])
async def test_declared_rejection_is_called_once(harness: WorkerHarness, error_type: str) -> None:
    """The server ends the attempts: a refusal for good stays a refusal, however often the saga asks."""
    harness.participants.when("book-hotel", *[fails(error_type=error_type)] * 5)

    trip = await harness.start_trip("flight", "hotel-with-declared-rejections")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", error_type)
    assert harness.participants.started == ["book-flight", "book-hotel", "cancel-flight"]


async def test_rejections_leave_the_error_types_of_the_author_in_force(harness: WorkerHarness) -> None:
    """The retry policy of the action has both, and the policy of the compensation the author's only."""
    harness.participants.when("book-hotel", fails(error_type="Busy"), fails(error_type="Lost"))

    trip = await harness.start_trip("hotel-with-declared-rejections")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "unknown_outcome")
    assert harness.participants.started == ["book-hotel", "book-hotel", "cancel-hotel"]
    scheduled = [e.activity_task_scheduled_event_attributes async for e in trip.fetch_history_events()]
    assert {
        each.activity_id: list(each.retry_policy.non_retryable_error_types)
        for each in scheduled
        if each.activity_id
    } == {
        "book-hotel": ["Broken", "Lost", "Closed", "Full"],
        "compensate.book-hotel": ["Broken", "Lost"],
    }


async def test_declared_rejection_of_a_pivot_is_called_once(harness: WorkerHarness) -> None:
    """The pivot did not happen, and the saga compensates without a second attempt."""
    harness.participants.when("pay", *[fails(error_type="Declined")] * 5)

    trip = await harness.start_trip("hotel", "pay-with-declared-rejection")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "Declined")
    assert harness.participants.started == ["book-hotel", "pay", "cancel-hotel"]


async def test_compensation_with_a_non_retryable_error_type_waits_for_an_operator(
    harness: WorkerHarness,
) -> None:
    """No timer runs, as with any non-retryable error; `saga-retry` ends the wait."""
    harness.participants.when("cancel-hotel", fails())
    trip = await harness.start_trip("hotel-with-non-retryable-errors", "fail")
    await harness.wait_for_status(trip, "stuck")
    assert await harness.timer_durations(trip) == []

    await harness.retry_stuck(trip)

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started == ["book-hotel", "cancel-hotel", "cancel-hotel"]


async def test_unlimited_attempts_end_with_the_schedule_to_close_timeout(harness: WorkerHarness) -> None:
    """After the timeout, the outcome is unknown, and the saga compensates."""
    harness.participants.when("book-hotel", *[fails()] * 1_000)

    trip = await harness.start_trip("hotel-with-unlimited-attempts")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "unknown_outcome")
    assert harness.participants.started[-1] == "cancel-hotel"
    assert harness.participants.started.count("book-hotel") > 2


async def test_step_with_a_late_answer_is_compensated(harness: WorkerHarness) -> None:
    """An attempt may still run after the start-to-close timeout."""
    latch = harness.participants.block("book-car")

    trip = await harness.start_trip("car-with-short-timeout")

    assert (await harness.wait_for_ending(trip)).code == "unknown_outcome"
    assert harness.participants.started == ["book-car", "cancel-car"]
    latch.released.set()


@pytest.mark.parametrize(
    "answer", ["no booking", {"number": 7}, {"number": "7", "more": True}, ["x"]], ids=str
)
async def test_answer_of_another_type_is_unknown(harness: WorkerHarness, answer: object) -> None:
    """An action with an unreadable result may have happened: the action is compensated."""
    harness.participants.when("book-flight", returns(answer))

    trip = await harness.start_trip("flight")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "unknown_outcome")
    assert harness.participants.started == ["book-flight", "cancel-flight"]


async def test_answer_too_large_for_temporal_is_unknown(harness: WorkerHarness) -> None:
    """The action has happened, but Temporal refuses to carry the large result."""
    huge = returns({"number": "7" * 3_000_000})
    harness.participants.when("book-flight", huge)

    trip = await harness.start_trip("flight")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "unknown_outcome")
    assert harness.participants.started == ["book-flight", "cancel-flight"]


async def test_compensation_gets_the_result_of_the_action(harness: WorkerHarness) -> None:
    """A compensation with a second parameter receives the result of the action."""
    trip = await harness.start_trip("hotel", "fail")

    assert (await harness.wait_for_ending(trip)).code == "Planned"
    assert [booking and booking.number for booking in harness.participants.results] == ["book-hotel-1"]


async def test_same_step_twice_has_two_keys_and_two_compensations(harness: WorkerHarness) -> None:
    """The second booking of the same hotel is a separate effect."""
    trip = await harness.start_trip("hotel", "hotel", "fail")

    await harness.wait_for_ending(trip)
    keys = [f"{trip.id}:book-hotel", f"{trip.id}:book-hotel#2"]
    assert harness.participants.keys["book-hotel"] == keys
    assert harness.participants.keys["cancel-hotel"] == keys[::-1]


async def test_best_effort_never_fails_a_saga(harness: WorkerHarness) -> None:
    """The failures of best-effort steps are recorded, and the saga completes."""
    harness.participants.when("book-flight", rejects())
    harness.participants.when("send-ticket", fails())

    trip = await harness.start_trip("hotel", "best-effort-flight", "pay", "best-effort-ticket")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started == ["book-hotel", "book-flight", "pay", "send-ticket"]


async def test_best_effort_takes_an_action_without_a_compensation(harness: WorkerHarness) -> None:
    """The effect stays when the saga compensates, and a failure of the action has no effect on the saga."""
    harness.participants.when("book-flight", fails())
    harness.participants.when("send-ticket", rejects())

    trip = await harness.start_trip(
        "hotel", "best-effort-bare-flight", "best-effort-bare-flight", "best-effort-bare-ticket", "fail"
    )

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started == [
        "book-hotel",
        "book-flight",
        "book-flight",
        "send-ticket",
        "cancel-hotel",
    ]


async def test_step_after_the_pivot_takes_an_action_without_a_compensation(harness: WorkerHarness) -> None:
    """After the pivot, no step is compensated, and the action is attempted until done."""
    harness.client = TimeSkipper(harness.client).client
    harness.participants.when("send-ticket", fails())

    trip = await harness.start_trip("hotel", "pay", "bare-ticket", "best-effort-bare-flight")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert harness.participants.started == ["book-hotel", "pay", "send-ticket", "send-ticket", "book-flight"]


async def test_step_before_the_pivot_refuses_an_action_without_a_compensation(harness: WorkerHarness) -> None:
    """The effect of the action would stay when the saga compensates."""
    trip = await harness.start_trip("hotel", "bare-flight")

    assert "'book-flight' has no effect class" in (await harness.wait_for_failure(trip)).message
    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_best_effort_of_unknown_outcome_is_compensated_with_the_saga(harness: WorkerHarness) -> None:
    """The best-effort step may have happened, and is compensated with the other steps."""
    harness.participants.when("book-flight", fails())

    trip = await harness.start_trip("best-effort-flight", "fail")

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started == ["book-flight", "cancel-flight"]


@pytest.mark.parametrize("notify", ["tell", "notify-by-bare-action"])
async def test_after_compensation_runs_last_and_a_failure_has_no_effect(
    harness: WorkerHarness, notify: str
) -> None:
    """The saga notifies the customer after all compensations, with a step or with a bare action."""
    harness.participants.when("tell-customer", rejects())

    trip = await harness.start_trip(notify, "hotel", "fail")

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started == ["book-hotel", "cancel-hotel", "tell-customer"]


async def test_compensation_waits_for_a_running_step_in_another_task(harness: WorkerHarness) -> None:
    """A step beside the failing step is compensated after the end of the action."""
    latch = harness.participants.block("book-flight")
    harness.participants.when("book-car", rejects())

    trip = await harness.start_trip("hotel", "flight+car")
    await latch.entered.wait()
    await harness.wait_for_status(trip, "compensating")
    latch.released.set()

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.log.index("-book-flight") < harness.participants.log.index("+cancel-flight")
    assert sorted(harness.participants.started[-2:]) == ["cancel-flight", "cancel-hotel"]
    assert harness.participants.started[-1] == "cancel-hotel"


async def test_saga_does_not_complete_before_an_unawaited_step(harness: WorkerHarness) -> None:
    """P2: the step is part of the saga, and the end of the block waits for the step."""
    latch = harness.participants.block("book-flight")
    trip = await harness.start_trip("unawaited-flight", "look")
    await latch.entered.wait()
    looked = await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, after=looked.event_id)
    assert (await trip.describe()).status is WorkflowExecutionStatus.RUNNING

    latch.released.set()

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


async def test_saga_does_not_complete_with_an_unawaited_unknown_step(harness: WorkerHarness) -> None:
    """P2: the workflow code has not seen the unknown outcome, and the end of the block compensates."""
    harness.participants.when("book-flight", fails())
    trip = await harness.start_trip("unawaited-flight", "look")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "unknown_outcome")
    assert harness.participants.started[-1] == "cancel-flight"


async def test_second_saga_in_a_run_is_refused(harness: WorkerHarness) -> None:
    """Both sagas would have the same idempotency keys; the done steps are compensated."""
    trip = await harness.start_trip("hotel", "second-saga")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "DefinitionError")
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]
