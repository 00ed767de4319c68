"""Continuing as new keeps the pending compensations, the unread events and the deadline of a saga."""

from typing import ClassVar, Self

import pytest
from pydantic import BaseModel, model_validator
from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.exceptions import ApplicationError

from sagas import CompensationOrder, CompensationScope, Saga
from sagas._wire.continued_state import CONTINUED_STATE_MEMO
from sagas.operator import HOLD, RESUME, OperatorRequest

from ..fixtures.trip_participants import rejects
from ..fixtures.trip_plan import Booking, TripPlan
from ..fixtures.trip_saga import PLANNED_FAILURE, STEPS
from ..fixtures.worker_harness import WORKFLOWS as USUAL
from ..fixtures.worker_harness import Ending, WorkerHarness

# Tests of cancels, pivots and children cover the cache; here, each workflow task is a replay.
pytestmark = pytest.mark.parametrize("harness", [0], indirect=True, ids=["evicted"])

COMPLETED = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED


class Loans(BaseModel):
    """An input model; a later version of the model requires a further field."""

    is_strict: ClassVar[bool] = False

    number: int

    @model_validator(mode="after")
    def require_new_field(self) -> Self:
        """Fails like a missing field without a default."""
        if self.is_strict:
            raise ValueError("a field is missing")
        return self


# The sandbox would import this file again for each worker.
@workflow.defn(sandboxed=False)
class RollingSaga:
    """Continues as new while the next version of the input model is deployed."""

    @workflow.run
    async def run(self, loans: Loans) -> None:
        async with Saga() as saga:
            await saga.step(STEPS["hotel"], TripPlan(do=()))
            if loans.number == 1:
                try:
                    await saga.continue_as_new(Loans(number=2))
                finally:
                    Loans.is_strict = True
            raise ApplicationError(PLANNED_FAILURE, type="Planned")


WORKFLOWS = [*USUAL, RollingSaga]


async def test_steps_of_earlier_runs_are_compensated(harness: WorkerHarness) -> None:
    """The last run compensates the steps of all runs, each once, with the results, the newest first."""
    leg = TripPlan(do=("flight",))
    trip = await harness.start_trip("hotel", leg, "again", "hotel", "again", "car", "fail")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "Planned")
    assert harness.participants.started == [
        *["book-hotel", "book-flight", "book-hotel", "book-car"],
        *["cancel-car", "cancel-hotel", "cancel-flight", "cancel-hotel"],
    ]
    assert harness.participants.results == [Booking(number="book-hotel-1")] * 2
    keys = [key.removeprefix(trip.id) for _, key in harness.participants.calls]
    assert keys[:4] == [":book-hotel", "/leg:book-flight", ":book-hotel#2", ":book-car"]
    assert keys[4:] == keys[3::-1]


async def test_an_event_too_late_in_a_run_is_too_late_in_the_next(harness: WorkerHarness) -> None:
    """The next run knows the timeout of the wait in the earlier run, and refuses the update."""
    trip = await harness.start_trip("anyway-visa0.01", "again", "boss")
    later = await harness.wait_for_next_run(trip)
    await harness.wait_for_event(later, EventType.EVENT_TYPE_TIMER_STARTED)

    assert "visa comes too late: the saga waited until" in await harness.rejected_update(
        later, "visa", Booking(number="v-1")
    )

    await later.cancel()
    assert (await harness.wait_for_ending(later)).closed == "CANCELED"


async def test_saga_completes(harness: WorkerHarness) -> None:
    """The saga completes with the result of the last run."""
    trip = await harness.start_trip("hotel", "again", "pay", "again", "ticket")

    ending = await harness.wait_for_ending(trip)
    assert (ending.closed, ending.result) == ("COMPLETED", ["hotel", "again", "pay", "again", "ticket"])
    assert harness.participants.started == ["book-hotel", "pay", "send-ticket"]


async def test_a_cancel_before_the_block_of_a_later_run_compensates(harness: WorkerHarness) -> None:
    """P6, P7: a later run compensates the steps of earlier runs before the saga block has started."""
    trip = await harness.start_trip("hotel", "again", "short-sleep-before-block", "look")
    later = await harness.wait_for_next_run(trip)
    await later.cancel()

    assert await harness.wait_for_ending(later) == Ending("CANCELED", "compensated")
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_a_cancel_after_the_pivot_has_no_effect_in_a_later_run(harness: WorkerHarness) -> None:
    """P6: the later run completes in spite of a cancel before the saga block."""
    trip = await harness.start_trip("hotel", "pay", "again", "short-sleep-before-block", "ticket")
    later = await harness.wait_for_next_run(trip)
    await later.cancel()

    assert (await harness.wait_for_ending(later)).closed == "COMPLETED"
    assert harness.participants.started == ["book-hotel", "pay", "send-ticket"]


async def test_the_deadline_is_kept(harness: WorkerHarness) -> None:
    """All runs of the saga share a single deadline."""
    trip = await harness.start_trip(
        "hotel", "short-sleep", "again", "short-sleep", "again", "look", seconds=0.5
    )

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "deadline_exceeded")
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_unread_events_reach_the_next_run(harness: WorkerHarness) -> None:
    """A wait in the next run takes an event of the earlier run."""
    hotel = harness.participants.block("book-hotel")
    trip = await harness.start_trip("hotel", "again", "visa", "look")
    await hotel.entered.wait()
    await trip.signal("visa", Booking(number="v"))
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, nth=2)
    hotel.released.set()

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


async def test_a_held_saga_continues_as_new_after_the_resume(harness: WorkerHarness) -> None:
    """The later run has the audit entries of the earlier run."""
    hotel = harness.participants.block("book-hotel")
    note = OperatorRequest(by="mia", because="wait a moment")
    trip = await harness.start_trip("hotel", "again", "visa")
    await hotel.entered.wait()
    await harness.send_update(trip, HOLD, note)
    hotel.released.set()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_TIMER_STARTED)
    await harness.send_update(trip, RESUME, note)
    later = await harness.wait_for_next_run(trip)
    await harness.wait_for_event(later, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED)
    assert " hold by mia: " in await harness.current_details(later)
    await later.signal("visa", Booking(number="v"))

    assert (await harness.wait_for_ending(later)).closed == "COMPLETED"


async def test_compensation_options_are_kept(harness: WorkerHarness) -> None:
    """The later run keeps the compensation scope, the order and the action after compensation."""
    harness.participants.when("book-flight", rejects())
    trip = await harness.start_trip(
        "tell",
        "hotel",
        "anyway-flight",
        "again",
        "fail",
        scope=CompensationScope.ATTEMPTED,
        order=CompensationOrder.PARALLEL,
    )

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started[-1] == "tell-customer"
    assert sorted(harness.participants.started[2:4]) == ["cancel-flight", "cancel-hotel"]


async def test_a_run_with_unreadable_state_waits_for_corrected_code(harness: WorkerHarness) -> None:
    """P7: the workflow task fails under incompatible code, and keeps the steps of the earlier run."""
    trip = await harness.client.start_workflow(
        RollingSaga.run, Loans(number=1), id=f"rolling-{harness.task_queue}", task_queue=harness.task_queue
    )
    harness.workflow_ids.append(trip.id)
    later = await harness.wait_for_next_run(trip)
    failed = await harness.wait_for_event(later, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)
    Loans.is_strict = False

    assert (await harness.wait_for_ending(later)).saga == "compensated"
    causes = failed.workflow_task_failed_event_attributes.failure
    assert "cannot read the state of an earlier run" in str(causes)
    assert harness.participants.started == ["book-hotel", "book-hotel", "cancel-hotel", "cancel-hotel"]


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"format": 3}, "ContinuedState has wire format 3"),
        ({"format": 2}, "this version of sagas cannot read the memo 'saga-continued-state': ValidationError"),
    ],
    ids=["another format", "unreadable"],
)
async def test_a_run_with_an_unreadable_memo_does_not_end(
    harness: WorkerHarness, state: object, reason: str
) -> None:
    """The workflow task fails: a closed run could not compensate the steps of earlier runs."""
    trip = await harness.client.start_workflow(
        "TripSaga",
        TripPlan(do=("hotel",)),
        id=f"trip-{harness.task_queue}",
        task_queue=harness.task_queue,
        memo={CONTINUED_STATE_MEMO: state},
    )
    failed = await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)
    await trip.terminate()

    assert failed.workflow_task_failed_event_attributes.failure.message.startswith(reason)
    assert harness.participants.started == []


async def test_a_child_continues_as_new(harness: WorkerHarness) -> None:
    """The parent waits for the last run of the child, and compensates the steps of all runs."""
    leg = TripPlan(do=("flight", "again", "hotel"))
    trip = await harness.start_trip("car", leg, "fail")

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started[-3:] == ["cancel-hotel", "cancel-flight", "cancel-car"]


@pytest.mark.parametrize("do", ["look,again|look", "again|short-sleep"])
async def test_continue_as_new_in_a_branch_is_refused(harness: WorkerHarness, do: str) -> None:
    """The saga fails with a definition error, and compensates the done steps."""
    trip = await harness.start_trip("hotel", do)

    ending = await harness.wait_for_ending(trip)
    assert (ending.closed, ending.code) == ("FAILED", "DefinitionError")
    assert harness.participants.started[-1] == "cancel-hotel"


async def test_a_later_run_corrects_the_search_attribute(harness: WorkerHarness) -> None:
    """A held first run sets the search attribute, and the last run sets the value to completed."""
    hotel = harness.participants.block("book-hotel")
    note = OperatorRequest(by="mia", because="wait a moment")
    trip = await harness.start_trip("hotel", "again", "look")
    await hotel.entered.wait()
    await harness.send_update(trip, HOLD, note)
    await harness.send_update(trip, RESUME, note)
    hotel.released.set()

    ending = await harness.wait_for_ending(harness.client.get_workflow_handle(trip.id))
    assert (ending.closed, ending.saga) == ("COMPLETED", "completed")
