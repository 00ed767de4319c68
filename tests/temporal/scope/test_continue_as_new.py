"""A saga that continues as new takes along what it owes, what it waits for, and how long it may take."""

from typing import ClassVar, Self

import pytest
from pydantic import BaseModel, model_validator
from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.exceptions import ApplicationError

from sagas import CompensationOrder, CompensationScope, Saga
from sagas.operator import HOLD, RESUME, OperatorRequest

from ..fixtures.trip_saga import STEPS, Booking, Plan, refuses
from ..fixtures.trip_worker import WORKFLOWS as USUAL
from ..fixtures.trip_worker import Ending, Stage

# The cache is the business of the tests of cancels, pivots and children; here each task is a replay.
pytestmark = pytest.mark.parametrize("stage", [0], indirect=True, ids=["evicted"])

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
            await saga.step(STEPS["hotel"], Plan(do=()))
            if loans.number == 1:
                try:
                    await saga.continue_as_new(Loans(number=2))
                finally:
                    Loans.is_strict = True
            raise ApplicationError("the plan says so", type="Planned")


WORKFLOWS = [*USUAL, Rolling]


async def test_what_was_done_before_is_made_up_for_after(stage: Stage) -> None:
    """In the order of all of it, with the results, and each once."""
    leg = Plan(do=("flight",))
    trip = await stage.start("hotel", leg, "again", "hotel", "again", "car", "fail")

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "ApplicationError")
    assert stage.agency.story == [
        *["book-hotel", "book-flight", "book-hotel", "book-car"],
        *["cancel-car", "cancel-hotel", "cancel-flight", "cancel-hotel"],
    ]
    assert stage.agency.results == [Booking(number="book-hotel-1")] * 2
    keys = [key.removeprefix(trip.id) for _, key in stage.agency.calls]
    assert keys[:4] == [":book-hotel", "/leg:book-flight", ":book-hotel#2", ":book-car"]
    assert keys[4:] == keys[3::-1]


async def test_an_event_that_came_too_late_before_comes_too_late_after(stage: Stage) -> None:
    """Who sends it must hear that nobody waits; a wait of the next run would."""
    trip = await stage.start("anyway-visa0.01", "again", "boss")
    later = await stage.next_run(trip)
    await stage.event(later, EventType.EVENT_TYPE_TIMER_STARTED)

    assert "visa comes too late: the saga waited until" in await stage.refusal(
        later, "visa", Booking(number="v-1")
    )

    await later.cancel()
    assert (await stage.ending(later)).closed == "CANCELED"


async def test_it_completes(stage: Stage) -> None:
    """With the result of its last run."""
    trip = await stage.start("hotel", "again", "pay", "again", "ticket")

    ending = await stage.ending(trip)
    assert (ending.closed, ending.result) == ("COMPLETED", ["hotel", "again", "pay", "again", "ticket"])
    assert stage.agency.story == ["book-hotel", "pay", "send-ticket"]


async def test_a_cancel_before_the_saga_is_open_again_loses_nothing(stage: Stage) -> None:
    """P6 and P7: what an earlier run owes is made up for, although this one has not come to its saga."""
    trip = await stage.start("hotel", "again", "nap-outside", "look")
    later = await stage.next_run(trip)
    await later.cancel()

    assert await stage.ending(later) == Ending("CANCELED", "compensated")
    assert stage.agency.story == ["book-hotel", "cancel-hotel"]


async def test_a_cancel_after_the_pivot_changes_nothing_in_a_later_run(stage: Stage) -> None:
    """P6: not even before the saga is open again."""
    trip = await stage.start("hotel", "pay", "again", "nap-outside", "ticket")
    later = await stage.next_run(trip)
    await later.cancel()

    assert (await stage.ending(later)).closed == "COMPLETED"
    assert stage.agency.story == ["book-hotel", "pay", "send-ticket"]


async def test_the_deadline_goes_on(stage: Stage) -> None:
    """It is one deadline for all runs."""
    trip = await stage.start("hotel", "nap", "again", "nap", "again", "look", seconds=0.5)

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "deadline_exceeded")
    assert stage.agency.story == ["book-hotel", "cancel-hotel"]


async def test_what_has_arrived_and_was_not_read_goes_along(stage: Stage) -> None:
    """It is not lost between two runs."""
    hotel = stage.agency.hold("book-hotel")
    trip = await stage.start("hotel", "again", "visa", "look")
    await hotel.entered.wait()
    await trip.signal("visa", Booking(number="v"))
    await stage.event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, nth=2)
    hotel.opened.set()

    assert (await stage.ending(trip)).closed == "COMPLETED"


async def test_a_saga_that_is_held_continues_as_new_when_it_is_resumed(stage: Stage) -> None:
    """And its audit trail is one."""
    hotel = stage.agency.hold("book-hotel")
    note = OperatorRequest(by="mia", because="wait a moment")
    trip = await stage.start("hotel", "again", "visa")
    await hotel.entered.wait()
    await stage.ask(trip, HOLD, note)
    hotel.opened.set()
    await stage.event(trip, EventType.EVENT_TYPE_TIMER_STARTED)
    await stage.ask(trip, RESUME, note)
    later = await stage.next_run(trip)
    await stage.event(later, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED)
    assert " hold by mia: " in await stage.details(later)
    await later.signal("visa", Booking(number="v"))

    assert (await stage.ending(later)).closed == "COMPLETED"


async def test_scope_order_and_last_words_go_along(stage: Stage) -> None:
    """As they were given in the first run."""
    stage.agency.when("book-flight", refuses())
    trip = await stage.start(
        "tell",
        "hotel",
        "anyway-flight",
        "again",
        "fail",
        scope=CompensationScope.ATTEMPTED,
        order=CompensationOrder.PARALLEL,
    )

    assert (await stage.ending(trip)).saga == "compensated"
    assert stage.agency.story[-1] == "tell-customer"
    assert sorted(stage.agency.story[2:4]) == ["cancel-flight", "cancel-hotel"]


async def test_a_run_that_cannot_read_the_state_before_it_waits_for_mended_code(stage: Stage) -> None:
    """P7: a new version may want more than the old one has sent, and owes what that has done."""
    trip = await stage.client.start_workflow(
        Rolling.run, Loans(number=1), id=f"rolling-{stage.task_queue}", task_queue=stage.task_queue
    )
    stage.ids.append(trip.id)
    later = await stage.next_run(trip)
    failed = await stage.event(later, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)
    Loans.is_strict = False

    assert (await stage.ending(later)).saga == "compensated"
    causes = failed.workflow_task_failed_event_attributes.failure
    assert "cannot read the state of an earlier run" in str(causes)
    assert stage.agency.story == ["book-hotel", "book-hotel", "cancel-hotel", "cancel-hotel"]


async def test_a_child_continues_as_new(stage: Stage) -> None:
    """Its parent waits for its last run, and owes what all of its runs have done."""
    leg = Plan(do=("flight", "again", "hotel"))
    trip = await stage.start("car", leg, "fail")

    assert (await stage.ending(trip)).saga == "compensated"
    assert stage.agency.story[-3:] == ["cancel-hotel", "cancel-flight", "cancel-car"]


@pytest.mark.parametrize("do", ["look,again|look", "again|nap"])
async def test_it_is_refused_while_something_is_under_way(stage: Stage, do: str) -> None:
    """The saga fails, and makes up for what it has done."""
    trip = await stage.start("hotel", do)

    ending = await stage.ending(trip)
    assert (ending.closed, ending.code) == ("FAILED", "DefinitionError")
    assert stage.agency.story[-1] == "cancel-hotel"


async def test_what_its_search_attribute_says_is_mended_in_a_later_run(stage: Stage) -> None:
    """It left the happy path in its first run; nobody may find it running when it has ended."""
    hotel = stage.agency.hold("book-hotel")
    note = OperatorRequest(by="mia", because="wait a moment")
    trip = await stage.start("hotel", "again", "look")
    await hotel.entered.wait()
    await stage.ask(trip, HOLD, note)
    await stage.ask(trip, RESUME, note)
    hotel.opened.set()

    ending = await stage.ending(stage.client.get_workflow_handle(trip.id))
    assert (ending.closed, ending.saga) == ("COMPLETED", "completed")
