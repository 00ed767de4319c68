"""A saga that continues as new takes along what it owes, what it waits for, and how long it may take."""

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
from ..fixtures.trip_saga import STEPS
from ..fixtures.worker_harness import WORKFLOWS as USUAL
from ..fixtures.worker_harness import Ending, WorkerHarness

# The cache is the business of the tests of cancels, pivots and children; here each task is a replay.
pytestmark = pytest.mark.parametrize("harness", [0], indirect=True, ids=["evicted"])

COMPLETED = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED


class Loans(BaseModel):
    """A state, of which a later version wants more."""

    is_strict: ClassVar[bool] = False

    number: int

    @model_validator(mode="after")
    def want_more(self) -> Self:
        """Is what a new field without a default does."""
        if self.is_strict:
            raise ValueError("a field is missing")
        return self


# In the sandbox, this file would be read again for each worker.
@workflow.defn(sandboxed=False)
class Rolling:
    """The next version is deployed as soon as it goes on."""

    @workflow.run
    async def run(self, loans: Loans) -> None:
        async with Saga() as saga:
            await saga.step(STEPS["hotel"], TripPlan(do=()))
            if loans.number == 1:
                try:
                    await saga.continue_as_new(Loans(number=2))
                finally:
                    Loans.is_strict = True
            raise ApplicationError("the plan says so", type="Planned")


WORKFLOWS = [*USUAL, Rolling]


async def test_what_was_done_before_is_made_up_for_after(harness: WorkerHarness) -> None:
    """In the order of all of it, with the results, and each once."""
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


async def test_an_event_that_came_too_late_before_comes_too_late_after(harness: WorkerHarness) -> None:
    """Who sends it must hear that nobody waits; a wait of the next run would."""
    trip = await harness.start_trip("anyway-visa0.01", "again", "boss")
    later = await harness.wait_for_next_run(trip)
    await harness.wait_for_event(later, EventType.EVENT_TYPE_TIMER_STARTED)

    assert "visa comes too late: the saga waited until" in await harness.rejected_update(
        later, "visa", Booking(number="v-1")
    )

    await later.cancel()
    assert (await harness.wait_for_ending(later)).closed == "CANCELED"


async def test_it_completes(harness: WorkerHarness) -> None:
    """With the result of its last run."""
    trip = await harness.start_trip("hotel", "again", "pay", "again", "ticket")

    ending = await harness.wait_for_ending(trip)
    assert (ending.closed, ending.result) == ("COMPLETED", ["hotel", "again", "pay", "again", "ticket"])
    assert harness.participants.started == ["book-hotel", "pay", "send-ticket"]


async def test_a_cancel_before_the_saga_is_open_again_loses_nothing(harness: WorkerHarness) -> None:
    """P6 and P7: what an earlier run owes is made up for, although this one has not come to its saga."""
    trip = await harness.start_trip("hotel", "again", "short-sleep-before-block", "look")
    later = await harness.wait_for_next_run(trip)
    await later.cancel()

    assert await harness.wait_for_ending(later) == Ending("CANCELED", "compensated")
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_a_cancel_after_the_pivot_changes_nothing_in_a_later_run(harness: WorkerHarness) -> None:
    """P6: not even before the saga is open again."""
    trip = await harness.start_trip("hotel", "pay", "again", "short-sleep-before-block", "ticket")
    later = await harness.wait_for_next_run(trip)
    await later.cancel()

    assert (await harness.wait_for_ending(later)).closed == "COMPLETED"
    assert harness.participants.started == ["book-hotel", "pay", "send-ticket"]


async def test_the_deadline_goes_on(harness: WorkerHarness) -> None:
    """It is one deadline for all runs."""
    trip = await harness.start_trip(
        "hotel", "short-sleep", "again", "short-sleep", "again", "look", seconds=0.5
    )

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "deadline_exceeded")
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_what_has_arrived_and_was_not_read_goes_along(harness: WorkerHarness) -> None:
    """It is not lost between two runs."""
    hotel = harness.participants.block("book-hotel")
    trip = await harness.start_trip("hotel", "again", "visa", "look")
    await hotel.entered.wait()
    await trip.signal("visa", Booking(number="v"))
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, nth=2)
    hotel.released.set()

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


async def test_a_saga_that_is_held_continues_as_new_when_it_is_resumed(harness: WorkerHarness) -> None:
    """And its audit trail is one."""
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


async def test_scope_order_and_last_words_go_along(harness: WorkerHarness) -> None:
    """As they were given in the first run."""
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


async def test_a_run_that_cannot_read_the_state_before_it_waits_for_mended_code(
    harness: WorkerHarness,
) -> None:
    """P7: a new version may want more than the old one has sent, and owes what that has done."""
    trip = await harness.client.start_workflow(
        Rolling.run, Loans(number=1), id=f"rolling-{harness.task_queue}", task_queue=harness.task_queue
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
async def test_a_run_that_cannot_read_its_memo_does_not_end(
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
    """Its parent waits for its last run, and owes what all of its runs have done."""
    leg = TripPlan(do=("flight", "again", "hotel"))
    trip = await harness.start_trip("car", leg, "fail")

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started[-3:] == ["cancel-hotel", "cancel-flight", "cancel-car"]


@pytest.mark.parametrize("do", ["look,again|look", "again|short-sleep"])
async def test_it_is_refused_while_something_is_under_way(harness: WorkerHarness, do: str) -> None:
    """The saga fails, and makes up for what it has done."""
    trip = await harness.start_trip("hotel", do)

    ending = await harness.wait_for_ending(trip)
    assert (ending.closed, ending.code) == ("FAILED", "DefinitionError")
    assert harness.participants.started[-1] == "cancel-hotel"


async def test_what_its_search_attribute_says_is_mended_in_a_later_run(harness: WorkerHarness) -> None:
    """It left the happy path in its first run; nobody may find it running when it has ended."""
    hotel = harness.participants.block("book-hotel")
    note = OperatorRequest(by="mia", because="wait a moment")
    trip = await harness.start_trip("hotel", "again", "look")
    await hotel.entered.wait()
    await harness.send_update(trip, HOLD, note)
    await harness.send_update(trip, RESUME, note)
    hotel.released.set()

    ending = await harness.wait_for_ending(harness.client.get_workflow_handle(trip.id))
    assert (ending.closed, ending.saga) == ("COMPLETED", "completed")
