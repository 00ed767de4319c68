"""The point of no return: what a cancel may do before, in and after it."""

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.testing import TimeSkipper

from ..fixtures.trip_participants import Answer, Gate, answers, breaks, refuses
from ..fixtures.trip_plan import Plan
from ..fixtures.worker_harness import Ending, Stage

CANCELLED = Ending("CANCELED", "compensated")
CANCEL_REQUESTED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED


async def test_pivot_that_no_worker_took_is_withdrawn_by_a_cancel(stage: Stage) -> None:
    """It cannot have happened: everything before it is made up for."""
    trip = await stage.start("hotel", "pay-far", "ticket")
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, nth=2)

    await trip.cancel()

    assert await stage.ending(trip) == CANCELLED
    assert stage.agency.story == ["book-hotel", "cancel-hotel"]


async def test_pivot_that_ends_well_in_spite_of_a_cancel_completes(stage: Stage) -> None:
    """It has begun, so its verdict decides: done."""
    gate = stage.agency.hold("pay")
    trip = await stage.start("hotel", "pay", "nap", "ticket")
    await gate.entered.wait()

    await trip.cancel()
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED)
    gate.opened.set()

    assert (await stage.ending(trip)).closed == "COMPLETED"
    assert stage.agency.story == ["book-hotel", "pay", "send-ticket"]


async def test_pivot_that_obeys_a_cancel_is_tried_again_until_it_says_how_it_ended(stage: Stage) -> None:
    """It has begun and may have happened: only the participant can tell, by the same key."""
    stage.client = TimeSkipper(stage.client).client
    gate = Gate()
    stage.agency.when("pay", gate.hold_and_beat)
    trip = await stage.start("hotel", "pay-beating", "nap", "ticket")
    await gate.entered.wait()

    await trip.cancel()

    assert (await stage.ending(trip)).closed == "COMPLETED"
    assert stage.agency.keys["pay"] == [f"{trip.id}:pay"] * 2


async def test_cancel_that_arrives_with_the_answer_of_the_pivot_asks_again(stage: Stage) -> None:
    """Temporal drops an answer that comes together with a cancel; the same key gets it once more."""
    await stage.close()
    workflows = await stage.open(activities=False)
    await stage.open(workflows=False)
    gate = stage.agency.hold("pay")
    trip = await stage.start("hotel", "pay", "ticket")
    await gate.entered.wait()
    await stage.close(workflows)
    gate.opened.set()
    await stage.event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED, nth=3)
    await trip.cancel()

    await stage.open(activities=False)

    assert (await stage.ending(trip)).closed == "COMPLETED"
    assert set(stage.agency.keys["pay"]) == {f"{trip.id}:pay"}
    assert "cancel-hotel" not in stage.agency.story


async def test_pivot_that_refuses_after_a_cancel_compensates(stage: Stage) -> None:
    """Its verdict decides: rejected, so the cancel takes its course."""
    stage.client = TimeSkipper(stage.client).client
    gate = Gate()
    stage.agency.when("pay", gate.hold_and_beat, refuses())
    trip = await stage.start("hotel", "pay-beating")
    await gate.entered.wait()

    await trip.cancel()

    assert await stage.ending(trip) == CANCELLED
    assert stage.agency.story == ["book-hotel", "pay", "pay", "cancel-hotel"]


async def test_pivot_that_refuses_compensates_everything_before_it(stage: Stage) -> None:
    """Rejected: it did not happen."""
    stage.agency.when("pay", refuses("card_declined"))

    trip = await stage.start("hotel", "flight", "pay", "ticket")

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "card_declined")
    assert stage.agency.story[2:] == ["pay", "cancel-flight", "cancel-hotel"]


async def test_pivot_of_unknown_outcome_is_stuck_until_there_is_a_verdict(stage: Stage) -> None:
    """It may have happened, so it can neither be given up nor be compensated."""
    stage.client = TimeSkipper(stage.client).client
    stage.agency.when("pay", *[breaks()] * 6)

    trip = await stage.start("hotel", "pay")
    await stage.status(trip, "stuck")

    ending = await stage.ending(trip)
    assert (ending.closed, ending.saga) == ("COMPLETED", "completed")
    assert stage.agency.story == ["book-hotel", *["pay"] * 7]
    # Those of its policy, and then longer ones, lest its history is full before there is a verdict.
    assert await stage.pauses(trip) == [0.02, 5, 10, 20, 40, 80]


async def test_pauses_of_a_pivot_are_never_shorter_than_those_of_its_policy(stage: Stage) -> None:
    """Whoever declares them knows its participant."""
    stage.client = TimeSkipper(stage.client).client
    stage.agency.when("pay", breaks(), breaks())

    trip = await stage.start("pay-patient")

    assert (await stage.ending(trip)).closed == "COMPLETED"
    assert await stage.pauses(trip) == [300, 300]


@pytest.mark.parametrize(
    "answer", [breaks(final=True), answers(["unreadable"])], ids=["broken", "unreadable"]
)
async def test_pivot_that_would_be_answered_the_same_waits_for_a_person(stage: Stage, answer: Answer) -> None:
    """No timer runs, however many attempts its policy has; `saga-retry` ends the wait."""
    stage.agency.when("pay", answer)
    trip = await stage.start("hotel", "pay")
    await stage.status(trip, "stuck")
    assert await stage.pauses(trip) == []

    await stage.retry(trip)

    assert (await stage.ending(trip)).closed == "COMPLETED"
    assert stage.agency.story == ["book-hotel", "pay", "pay"]


async def test_pivot_with_a_probe_is_asked_for_until_there_is_a_verdict(stage: Stage) -> None:
    """The participant may know later what it does not know now."""
    stage.client = TimeSkipper(stage.client).client
    stage.agency.when("pay", *[breaks(final=True)] * 2)
    stage.agency.when("find-payment", breaks(), answers({"outcome": "done", "result": {"number": "p-1"}}))

    trip = await stage.start("pay-probed")

    assert (await stage.ending(trip)).closed == "COMPLETED"
    assert stage.agency.story == ["pay", "find-payment"] * 2
    assert await stage.pauses(trip) == [5]


@pytest.mark.parametrize("wait", ["nap", "wait", "wait-deaf"])
async def test_cancel_after_the_pivot_changes_nothing(stage: Stage, wait: str) -> None:
    """Not even in a timer or a condition of the workflow's own."""
    trip = await stage.start("hotel", "pay", wait, "flight", "ticket")
    await stage.event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, nth=3)

    await trip.cancel()
    await stage.event(trip, CANCEL_REQUESTED)
    await trip.signal("go")

    assert (await stage.ending(trip)).closed == "COMPLETED"
    assert stage.agency.story == ["book-hotel", "pay", "book-flight", "send-ticket"]


async def test_cancel_of_a_step_after_the_pivot_changes_nothing(stage: Stage) -> None:
    """The activity is not even told."""
    gate = Gate()
    stage.agency.when("book-car", gate.hold_and_beat)
    trip = await stage.start("pay", "car", "ticket")
    await gate.entered.wait()

    await trip.cancel()
    await stage.event(trip, CANCEL_REQUESTED)
    gate.opened.set()

    assert (await stage.ending(trip)).closed == "COMPLETED"
    assert stage.agency.log == ["+pay", "-pay", "+book-car", "-book-car", "+send-ticket", "-send-ticket"]


async def test_time_limit_after_a_cancelled_pivot_still_fires(stage: Stage) -> None:
    """The guard keeps the workflow's cancel away, and nothing else."""
    gate = stage.agency.hold("pay")
    trip = await stage.start("pay", "time-limit", "ticket")
    await gate.entered.wait()
    await trip.cancel()
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED)

    gate.opened.set()

    assert (await stage.ending(trip)).closed == "COMPLETED"


async def test_step_after_the_pivot_is_tried_until_it_is_done(stage: Stage) -> None:
    """A refusal there waits for a person, and is never compensated."""
    stage.agency.when("send-ticket", refuses())
    trip = await stage.start("hotel", "pay", "ticket")
    await stage.status(trip, "stuck")

    await stage.retry(trip)

    ending = await stage.ending(trip)
    assert (ending.closed, ending.saga) == ("COMPLETED", "completed")
    assert stage.agency.story == ["book-hotel", "pay", "send-ticket", "send-ticket"]


async def test_error_after_the_pivot_fails_the_task_and_not_the_workflow(stage: Stage) -> None:
    """It is a bug in the workflow, which waits for better code; nothing is lost meanwhile."""
    trip = await stage.start("hotel", "pay", "fail")

    failed = await stage.event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)

    message = failed.workflow_task_failed_event_attributes.failure.message
    assert "after the pivot" in message
    assert stage.agency.story == ["book-hotel", "pay"]
    await trip.terminate("the code is not going to be mended")
    stage.ids.remove(trip.id)  # what failed its tasks fails in replay


@pytest.mark.parametrize(
    ("do", "message"),
    [
        (("pay", "pay-beating"), "second pivot"),
        (("pay", Plan(do=("look",))), "comes after the pivot"),
    ],
    ids=["second-pivot", "child-after-pivot"],
)
async def test_what_may_fail_has_no_place_after_the_pivot(
    stage: Stage, do: tuple[str | Plan, ...], message: str
) -> None:
    """A badly written saga is told so, in its failing workflow task."""
    trip = await stage.start(*do)

    failed = await stage.event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)

    assert message in failed.workflow_task_failed_event_attributes.failure.message
    await trip.terminate("the code is not going to be mended")
    stage.ids.remove(trip.id)  # what failed its tasks fails in replay


@pytest.mark.parametrize("do", [("hotel", "pay", "then-outside"), ("hotel", "car", "then-outside")])
async def test_cancel_after_the_saga_has_completed_changes_nothing(stage: Stage, do: tuple[str, ...]) -> None:
    """P6: a workflow whose effects are all there does not close as if there were none."""
    trip = await stage.start(*do)
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=2)
    await stage.event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, nth=3)

    await trip.cancel()
    await stage.event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, nth=4)
    await trip.signal("go")

    assert (await stage.ending(trip)).closed == "COMPLETED"
    assert stage.agency.story == [{"hotel": "book-hotel", "car": "book-car", "pay": "pay"}[w] for w in do[:2]]


async def test_pivot_in_doubt_that_no_worker_takes_makes_the_saga_stuck(stage: Stage) -> None:
    """P8: nothing but a worker can tell what became of it, and a person can have it asked for again."""
    await stage.close()
    await stage.open(activities=False)
    doers = await stage.open(workflows=False)
    gate = stage.agency.hold("pay")
    trip = await stage.start("pay-hurried")
    await gate.entered.wait()

    await stage.close(doers)
    await stage.status(trip, "stuck")
    assert "pay: no worker has taken it in time" in await stage.details(trip)
    gate.opened.set()
    await stage.open(workflows=False)
    await stage.retry(trip)

    assert (await stage.ending(trip)).closed == "COMPLETED"
