"""Done and unknown actions are compensated, rejected ones are not; the first failure is what is told."""

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowExecutionStatus

from sagas import CompensationScope

from ..fixtures.trip_participants import answers, breaks, refuses
from ..fixtures.worker_harness import Ending, Stage

# The cache is the business of the tests of cancels, pivots and children; here each task is a replay.
pytestmark = pytest.mark.parametrize("stage", [0], indirect=True, ids=["evicted"])


async def test_saga_without_a_failure_completes_and_says_nothing_in_history(stage: Stage) -> None:
    """The happy path sets no search attribute."""
    trip = await stage.start("hotel", "flight", "pay", "ticket")

    assert await stage.ending(trip) == Ending("COMPLETED", None, result=["hotel", "flight", "pay", "ticket"])
    assert stage.agency.story == ["book-hotel", "book-flight", "pay", "send-ticket"]


async def test_priorities_of_actions_and_compensations_reach_the_server(stage: Stage) -> None:
    """It is the server that decides what a worker gets first."""
    trip = await stage.start("urgent-hotel", "flight", "fail")
    await stage.ending(trip)

    scheduled = [e.activity_task_scheduled_event_attributes async for e in trip.fetch_history_events()]
    assert {each.activity_id: each.priority.priority_key for each in scheduled if each.activity_id} == {
        "book-hotel": 1,
        "book-flight": 0,
        "compensate.book-flight": 0,
        "compensate.book-hotel": 5,
    }


async def test_rejected_step_is_not_compensated_and_the_others_are_newest_first(stage: Stage) -> None:
    """A rejected action did not happen; what was done before it is made up for in reverse order."""
    stage.agency.when("book-car", refuses())

    trip = await stage.start("hotel", "flight", "car")

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "sold_out")
    assert stage.agency.story == ["book-hotel", "book-flight", "book-car", "cancel-flight", "cancel-hotel"]


async def test_rejected_step_is_compensated_where_the_scope_is_attempted(stage: Stage) -> None:
    """For participants whose refusals may leave something behind."""
    stage.agency.when("book-flight", refuses())

    trip = await stage.start("hotel", "flight", scope=CompensationScope.ATTEMPTED)

    assert (await stage.ending(trip)).saga == "compensated"
    assert stage.agency.story == ["book-hotel", "book-flight", "cancel-flight", "cancel-hotel"]


async def test_step_that_fails_on_every_attempt_is_compensated(stage: Stage) -> None:
    """Nobody knows whether it happened; its compensation gets no result, and the key of the action."""
    stage.agency.when("book-hotel", breaks(), breaks())

    trip = await stage.start("hotel")

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "unknown_outcome")
    assert stage.agency.story == ["book-hotel", "book-hotel", "cancel-hotel"]
    assert stage.agency.results == [None]
    assert stage.agency.keys["cancel-hotel"] == [f"{trip.id}:book-hotel"]
    assert stage.agency.keys["book-hotel"] == [f"{trip.id}:book-hotel"] * 2


async def test_step_that_answers_too_late_is_compensated(stage: Stage) -> None:
    """An attempt that ran into its time limit may still be running."""
    gate = stage.agency.hold("book-car")

    trip = await stage.start("late-car")

    assert (await stage.ending(trip)).code == "unknown_outcome"
    assert stage.agency.story == ["book-car", "cancel-car"]
    gate.opened.set()


@pytest.mark.parametrize(
    "answer", ["no booking", {"number": 7}, {"number": "7", "more": True}, ["x"]], ids=str
)
async def test_answer_of_another_type_is_unknown(stage: Stage, answer: object) -> None:
    """An action whose answer nobody can read may have happened: it is compensated, and the saga goes on."""
    stage.agency.when("book-flight", answers(answer))

    trip = await stage.start("flight")

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "unknown_outcome")
    assert stage.agency.story == ["book-flight", "cancel-flight"]


async def test_answer_larger_than_temporal_takes_is_unknown(stage: Stage) -> None:
    """The action has happened, but Temporal refuses to carry its result."""
    huge = answers({"number": "7" * 3_000_000})
    stage.agency.when("book-flight", huge)

    trip = await stage.start("flight")

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "unknown_outcome")
    assert stage.agency.story == ["book-flight", "cancel-flight"]


async def test_compensation_gets_the_result_of_its_action(stage: Stage) -> None:
    """A compensation with a second parameter is told what its action returned."""
    trip = await stage.start("hotel", "fail")

    assert (await stage.ending(trip)).code == "ApplicationError"
    assert [booking and booking.number for booking in stage.agency.results] == ["book-hotel-1"]


async def test_same_step_twice_has_two_keys_and_two_compensations(stage: Stage) -> None:
    """The second booking of a hotel is another effect than the first."""
    trip = await stage.start("hotel", "hotel", "fail")

    await stage.ending(trip)
    keys = [f"{trip.id}:book-hotel", f"{trip.id}:book-hotel#2"]
    assert stage.agency.keys["book-hotel"] == keys
    assert stage.agency.keys["cancel-hotel"] == keys[::-1]


async def test_best_effort_never_fails_a_saga(stage: Stage) -> None:
    """What fails in it is left behind; the saga completes."""
    stage.agency.when("book-flight", refuses())
    stage.agency.when("send-ticket", breaks())

    trip = await stage.start("hotel", "perhaps-flight", "pay", "perhaps-ticket")

    assert (await stage.ending(trip)).closed == "COMPLETED"
    assert stage.agency.story == ["book-hotel", "book-flight", "pay", "send-ticket"]


async def test_best_effort_of_unknown_outcome_is_compensated_with_the_saga(stage: Stage) -> None:
    """It may have happened, so it belongs to what is made up for."""
    stage.agency.when("book-flight", breaks())

    trip = await stage.start("perhaps-flight", "fail")

    assert (await stage.ending(trip)).saga == "compensated"
    assert stage.agency.story == ["book-flight", "cancel-flight"]


async def test_after_compensation_comes_last_and_its_failure_changes_nothing(stage: Stage) -> None:
    """The customer is told when everything is made up for, or is not told."""
    stage.agency.when("tell-customer", refuses())

    trip = await stage.start("tell", "hotel", "fail")

    assert (await stage.ending(trip)).saga == "compensated"
    assert stage.agency.story == ["book-hotel", "cancel-hotel", "tell-customer"]


async def test_compensation_waits_for_a_step_that_is_under_way_in_another_task(stage: Stage) -> None:
    """What runs beside the step that fails is made up for, but only once it has ended."""
    gate = stage.agency.hold("book-flight")
    stage.agency.when("book-car", refuses())

    trip = await stage.start("hotel", "flight+car")
    await gate.entered.wait()
    await stage.status(trip, "compensating")
    gate.opened.set()

    assert (await stage.ending(trip)).saga == "compensated"
    assert stage.agency.log.index("-book-flight") < stage.agency.log.index("+cancel-flight")
    assert sorted(stage.agency.story[-2:]) == ["cancel-flight", "cancel-hotel"]
    assert stage.agency.story[-1] == "cancel-hotel"


async def test_saga_does_not_complete_before_a_step_that_nobody_waits_for(stage: Stage) -> None:
    """P2: what it does is part of the saga; the end of the block waits for it."""
    gate = stage.agency.hold("book-flight")
    trip = await stage.start("unawaited-flight", "look")
    await gate.entered.wait()
    looked = await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await stage.event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, after=looked.event_id)
    assert (await trip.describe()).status is WorkflowExecutionStatus.RUNNING

    gate.opened.set()

    assert (await stage.ending(trip)).closed == "COMPLETED"


async def test_saga_does_not_complete_with_a_step_that_nobody_waited_for_in_doubt(stage: Stage) -> None:
    """P2: nobody has seen that its outcome is unknown, so the block does."""
    stage.agency.when("book-flight", breaks())
    trip = await stage.start("unawaited-flight", "look")

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "unknown_outcome")
    assert stage.agency.story[-1] == "cancel-flight"


async def test_second_saga_in_a_run_is_refused(stage: Stage) -> None:
    """Its keys would be those of the first; what was done is made up for."""
    trip = await stage.start("hotel", "second-saga")

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "DefinitionError")
    assert stage.agency.story == ["book-hotel", "cancel-hotel"]
