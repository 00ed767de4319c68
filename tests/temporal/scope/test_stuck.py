"""A compensation that does not succeed makes the saga stuck, which it says, and it is never given up."""

from datetime import timedelta

import pytest
from temporalio.api.enums.v1 import EventType, TimeoutType
from temporalio.client import WorkflowUpdateFailedError
from temporalio.testing import TimeSkipper

from sagas.operator import COMPLETE, RETRY, SKIP, CompleteRequest, SkipRequest

from ..fixtures.trip_saga import answers, breaks, refuses
from ..fixtures.trip_worker import Ending, Stage

# The cache is the business of the tests of cancels, pivots and children; here each task is a replay.
pytestmark = pytest.mark.parametrize("stage", [0], indirect=True, ids=["evicted"])


async def test_compensation_that_fails_and_then_succeeds_mends_itself(stage: Stage) -> None:
    """The saga was stuck for a while, nobody did anything, and it ends compensated."""
    stage.client = TimeSkipper(stage.client).client
    stage.agency.when("cancel-flight", breaks(), breaks(), breaks())

    trip = await stage.start("hotel", "flight", "fail")
    await stage.status(trip, "stuck")

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "ApplicationError")
    assert stage.agency.story[2:] == [
        "cancel-flight",
        "cancel-hotel",  # one that fails does not hold up the others
        *["cancel-flight"] * 3,
    ]


async def test_pauses_between_the_rounds_grow(stage: Stage) -> None:
    """From five seconds to five minutes."""
    stage.client = TimeSkipper(stage.client).client
    stage.agency.when("cancel-flight", *[breaks()] * 8)

    trip = await stage.start("flight", "fail")

    assert (await stage.ending(trip)).saga == "compensated"
    assert await stage.pauses(trip) == [5, 10, 20, 40, 80, 160, 300, 300]


async def test_pauses_are_longer_where_what_is_sent_is_large(stage: Stage) -> None:
    """P7: the server terminates a saga whose history is full; an hour once a tenth of it is."""
    stage.client = TimeSkipper(stage.client).client
    stage.agency.when("cancel-flight", *[breaks()] * 8)

    trip = await stage.start("big-900000", "fail")

    assert (await stage.ending(trip)).saga == "compensated"
    assert await stage.pauses(trip) == [5, 10, 20, 40, 80, 160, 320, 640]


async def test_what_has_failed_is_shown_before_its_round_is_over(stage: Stage) -> None:
    """P8: the others may take long, and an operator can see to it meanwhile."""
    stage.agency.when("cancel-flight", refuses("too_late"))
    hotel = stage.agency.hold("cancel-hotel")
    trip = await stage.start("hotel", "flight", "fail")
    await hotel.entered.wait()

    await stage.status(trip, "stuck")
    details = await stage.details(trip)
    assert details.splitlines()[0] == "**stuck**: book-flight: too_late, sorry"
    await stage.ask(trip, SKIP, SkipRequest(by="mia", because="it has left", step="book-flight"))

    hotel.opened.set()
    assert (await stage.ending(trip)).saga == "settled"
    assert stage.agency.story[2:] == ["cancel-flight", "cancel-hotel"]


async def test_what_was_refused_is_left_alone_while_something_else_is_tried_again(stage: Stage) -> None:
    """Until a person asks for it; the saga rests without end once nothing else is left."""
    stage.client = TimeSkipper(stage.client).client
    stage.agency.when("cancel-flight", refuses("too_late"))
    stage.agency.when("cancel-hotel", *[breaks()] * 4)
    trip = await stage.start("hotel", "flight", "fail")

    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=3)
    await stage.event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, nth=9)
    details = await stage.details(trip)
    assert details.splitlines()[0] == "**stuck**: book-flight: too_late, sorry"
    assert stage.agency.story[2:] == ["cancel-flight", *["cancel-hotel"] * 5]
    await stage.retry(trip)

    assert (await stage.ending(trip)).saga == "compensated"
    assert stage.agency.story[8:] == ["cancel-flight"]
    assert await stage.pauses(trip) == [5, 10]


async def test_what_was_refused_is_left_alone_while_another_one_is_settled(stage: Stage) -> None:
    """A person's word on one of them says nothing of the other."""
    stage.agency.when("cancel-flight", refuses("too_late"))
    stage.agency.when("cancel-hotel", refuses("closed"))
    trip = await stage.start("hotel", "flight", "fail")
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED, nth=2)

    await stage.ask(trip, SKIP, SkipRequest(by="mia", because="it has left", step="book-flight"))
    assert stage.agency.story[2:] == ["cancel-flight", "cancel-hotel"]
    await stage.retry(trip)

    assert (await stage.ending(trip)).saga == "settled"
    assert stage.agency.story[4:] == ["cancel-hotel"]


@pytest.mark.parametrize("verb", [SKIP, RETRY])
async def test_a_compensation_that_no_worker_takes_makes_the_saga_stuck(stage: Stage, verb: str) -> None:
    """P8: it says so, and takes verbs; it is tried again as anything else."""
    trip = await stage.start("lonely-hotel", "fail")

    await stage.status(trip, "stuck")
    details = await stage.details(trip)
    assert details.splitlines()[0] == "**stuck**: book-hotel: no worker has taken it in time"
    if verb == SKIP:
        await stage.ask(trip, SKIP, SkipRequest(by="mia", because="they are bankrupt", step="book-hotel"))
    else:
        await stage.open("nobody", workflows=False)
        await stage.retry(trip)

    assert (await stage.ending(trip)).saga == ("settled" if verb == SKIP else "compensated")
    assert stage.agency.story[1:] == ([] if verb == SKIP else ["cancel-hotel"])


async def test_a_worker_that_goes_away_between_two_attempts_does_not_prolong_their_round(
    stage: Stage,
) -> None:
    """P8: the wait for the next worker is not added to what the attempts before have taken."""
    gate = stage.agency.hold("cancel-hotel")
    nobody = await stage.open("nobody", workflows=False)
    trip = await stage.start("deserted-hotel", "fail")
    await gate.entered.wait()
    await stage.close(nobody)

    timed_out = await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT)
    failure = timed_out.activity_task_timed_out_event_attributes.failure
    assert failure.timeout_failure_info.timeout_type == TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE
    await stage.status(trip, "stuck")
    await stage.open("nobody", workflows=False)
    await stage.retry(trip)

    assert (await stage.ending(trip)).saga == "compensated"
    assert stage.agency.story[1:] == ["cancel-hotel", "cancel-hotel"]


@pytest.mark.parametrize("verb", [COMPLETE, RETRY])
async def test_a_step_after_the_pivot_that_no_worker_takes_makes_the_saga_stuck(
    stage: Stage, verb: str
) -> None:
    """Its probe would find no worker either, so it is not asked."""
    trip = await stage.start("pay", "lonely-car")

    await stage.status(trip, "stuck")
    if verb == COMPLETE:
        request = CompleteRequest(by="mia", because="by bus", step="book-car", result={"number": "c-1"})
        await stage.ask(trip, COMPLETE, request)
    else:
        await stage.open("nobody", workflows=False)
        await stage.retry(trip)

    assert (await stage.ending(trip)).closed == "COMPLETED"
    assert stage.agency.story == (["pay"] if verb == COMPLETE else ["pay", "book-car"])


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
async def test_only_what_must_succeed_waits_for_a_worker_for_so_long(
    stage: Stage, do: tuple[str, ...], waits: dict[str, int]
) -> None:
    """The others wait as long as there is none; a probe of the pivot is past all waiting."""
    stage.agency.when("pay", breaks())
    stage.agency.when("book-hotel", *[breaks()] * ("pay-probed" in do))
    found = answers({"outcome": "done", "result": {"number": "1"}})
    stage.agency.when("find-payment", found)
    stage.agency.when("find-hotel", found)
    trip = await stage.start(*do)
    await stage.ending(trip)

    scheduled = [e.activity_task_scheduled_event_attributes async for e in trip.fetch_history_events()]
    assert {
        each.activity_id: each.schedule_to_start_timeout.ToTimedelta()
        for each in scheduled
        if each.activity_id
    } == {activity_id: timedelta(seconds=seconds) for activity_id, seconds in waits.items()}


async def test_details_say_what_keeps_failing_and_what_is_owed(stage: Stage) -> None:
    """Who looks into the Web UI sees at which step; and at which, when it is past the pivot."""
    stage.agency.when("cancel-flight", refuses("too_late"))
    stage.agency.when("cancel-hotel", refuses("closed"))
    trip = await stage.start("hotel", "look", "flight", "car", "fail")
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED, nth=2)
    back = await stage.details(trip)
    stage.agency.when("book-hotel", refuses("closed"))
    forward = await stage.start("pay", "hotel")
    await stage.status(forward, "stuck")

    assert back.splitlines()[0] == "**stuck**: book-flight: too_late, sorry; book-hotel: closed, sorry"
    assert back.splitlines()[4:] == [
        "| book-hotel | ✓ done | **keeps failing** |",
        "| look-around | ✓ done |  |",
        "| book-flight | ✓ done | **keeps failing** |",
        "| book-car | ✓ done | ✓ compensated |",
    ]
    assert (await stage.details(forward)).splitlines()[
        5
    ] == "| book-hotel | … under way, **keeps failing** |  |"


async def test_final_refusal_of_a_compensation_waits_for_an_operator(stage: Stage) -> None:
    """Another try would be answered the same, so no timer runs; `saga-retry` ends the wait."""
    stage.agency.when("cancel-hotel", refuses("too_late"))
    trip = await stage.start("hotel", "fail")
    await stage.status(trip, "stuck")

    assert await stage.retry(trip) == "stuck"

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "ApplicationError")
    assert stage.agency.story == ["book-hotel", "cancel-hotel", "cancel-hotel"]
    kinds = {event.event_type async for event in trip.fetch_history_events()}
    assert EventType.EVENT_TYPE_TIMER_STARTED not in kinds


async def test_retry_of_a_saga_that_is_not_stuck_is_refused(stage: Stage) -> None:
    """And leaves it as it was."""
    trip = await stage.start("hotel", "wait")
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)

    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await stage.retry(trip)

    assert "not stuck" in str(refused.value.cause)
    await trip.signal("go")
    assert (await stage.ending(trip)).closed == "COMPLETED"


@pytest.mark.parametrize("note", [{}, {"by": "", "because": "x"}, {"by": "mia", "because": "x", "x": 1}, 7])
async def test_retry_without_a_proper_note_is_refused(stage: Stage, note: object) -> None:
    """Who and why are part of it; the saga stays stuck and unharmed."""
    stage.agency.when("cancel-hotel", refuses())
    trip = await stage.start("hotel", "fail")
    await stage.status(trip, "stuck")

    with pytest.raises(WorkflowUpdateFailedError):
        await trip.execute_update(RETRY, note)

    await stage.retry(trip)
    assert (await stage.ending(trip)).saga == "compensated"


async def test_retry_wakes_a_pivot_that_is_stuck(stage: Stage) -> None:
    """Wherever a saga is stuck, the operator's word ends the pause at once."""
    stage.agency.when("pay", breaks())
    trip = await stage.start("hotel", "pay-patient")
    await stage.status(trip, "stuck")

    await stage.retry(trip)

    assert (await stage.ending(trip)).closed == "COMPLETED"
    assert stage.agency.story == ["book-hotel", "pay", "pay"]
