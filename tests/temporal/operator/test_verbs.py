"""Verbs of operators: executed and recorded in the audit trail, or refused with a reason."""

import asyncio

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowUpdateFailedError

from sagas import SagaPlugin
from sagas.operator import (
    COMPENSATE,
    COMPLETE,
    HOLD,
    RESUME,
    RETRY,
    SKIP,
    CompleteRequest,
    OperatorRequest,
    SagaClient,
    SkipRequest,
)

from ..fixtures.trip_saga import Booking, Gate, Plan, breaks, refuses
from ..fixtures.trip_worker import Ending, Handle, Stage

# Tests of cancels, pivots and children run with a cache as well; here, each workflow task is a replay.
pytestmark = pytest.mark.parametrize("stage", [0], indirect=True, ids=["evicted"])

MIA = OperatorRequest(by="mia", because="a call from the customer")
COMPLETED = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
FAILED = EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED
FIRED = EventType.EVENT_TYPE_TIMER_FIRED


def skip(step: str) -> SkipRequest:
    return SkipRequest(by="mia", because="the booking does not exist", step=step)


def complete(step: str, result: object = None) -> CompleteRequest:
    return CompleteRequest(by="mia", because="done by telephone", step=step, result=result)


async def test_held_saga_starts_no_step_until_resumed(stage: Stage) -> None:
    """A running activity goes on to its end."""
    hotel = stage.agency.hold("book-hotel")
    trip = await stage.start("hotel", "flight")
    await hotel.entered.wait()

    assert await stage.ask(trip, HOLD, MIA) == "held"
    hotel.opened.set()
    await stage.event(trip, COMPLETED)
    await stage.event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, nth=3)
    assert stage.agency.story == ["book-hotel"]
    assert "is held" in await stage.refusal(trip, HOLD, MIA)

    assert await stage.ask(trip, RESUME, MIA) == "running"
    assert (await stage.ending(trip)).closed == "COMPLETED"
    assert stage.agency.story == ["book-hotel", "book-flight"]


async def test_children_are_held_and_resumed_with_their_parent(stage: Stage) -> None:
    """The verbs reach children at any depth, and each audit trail has the operator."""
    car = stage.agency.hold("book-car")
    trip = await stage.start("hotel", Plan(do=(Plan(do=("car", "flight"), name="night"), "look")), "ticket")
    await car.entered.wait()
    family = [trip, stage.child_of(trip, "leg"), stage.child_of(trip, "leg/night")]

    assert await stage.ask(trip, HOLD, MIA) == "held"
    for saga in family:
        await stage.status(saga, "held")
    car.opened.set()
    done = await stage.event(family[2], COMPLETED)
    await stage.event(family[2], EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, after=done.event_id)
    assert stage.agency.story == ["book-hotel", "book-car"]
    assert "hold by mia: a call from the customer" in await stage.details(family[2])
    operator = SagaClient(stage.client)
    leg = (await operator.show(trip.id)).steps[1].child
    assert leg is not None
    assert [
        (each.status, [verb.verb for verb in each.verbs]) for each in (leg, leg.steps[0].child) if each
    ] == [("held", ["saga-hold"])] * 2

    assert await stage.ask(trip, RESUME, MIA) == "running"
    assert (await stage.ending(trip)).closed == "COMPLETED"
    assert stage.agency.story[2:] == ["book-flight", "look-around", "send-ticket"]
    assert [verb.words for verb in (await operator.show(family[2].id)).verbs] == ["hold", "resume"]


async def test_child_that_starts_during_a_hold_is_held(stage: Stage) -> None:
    """The start of the child is already on the way, but the child starts no step."""
    asked_for = EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED
    trips = [await stage.start("hotel", Plan(do=("visa",))) for _ in range(10)]

    async def hold_early(trip: Handle) -> None:
        await stage.event(trip, asked_for)
        await stage.ask(trip, HOLD, MIA)

    await asyncio.gather(*map(hold_early, trips))
    for trip in trips:
        child = stage.child_of(trip, "leg")
        await stage.status(child, "held")
        await stage.ask(trip, RESUME, MIA)
        await child.signal("visa", Booking(number="v-1"))
        assert (await stage.ending(trip)).closed == "COMPLETED"


@pytest.mark.parametrize("state", ["compensating", "closed"])
async def test_compensating_child_is_not_held(stage: Stage, state: str) -> None:
    """A hold stops neither the compensations of the child nor those of its parent."""
    gate = stage.agency.hold("cancel-flight" if state == "compensating" else "look-around")
    child = Plan(do=("flight", "fail") if state == "compensating" else ("flight",))
    trip = await stage.start("hotel", child, "look")
    await gate.entered.wait()

    assert await stage.ask(trip, HOLD, MIA) == "held"
    gate.opened.set()
    if state == "closed":
        await stage.ask(trip, RESUME, MIA)

    assert (await stage.ending(trip)).closed == ("COMPLETED" if state == "closed" else "FAILED")


async def test_stuck_child_is_held_after_its_stuck_step(stage: Stage) -> None:
    """The child starts no further step; a resume before the end of the stuck step counts as well."""
    for is_early in (False, True):
        stage.agency.when("book-flight", refuses())
        trip = await stage.start("hotel", Plan(do=("pay", "flight", "look"), is_pivot=True), "ticket")
        await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
        child = stage.child_of(trip, "leg")
        await stage.status(child, "stuck")

        assert await stage.ask(trip, HOLD, MIA) == "held"
        signaled = await stage.event(child, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED)
        await stage.event(child, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, after=signaled.event_id)
        assert (await stage.details(child)).startswith("**stuck**")
        assert "only one that is running can be held" in await stage.refusal(child, HOLD, MIA)
        if is_early:
            await stage.ask(trip, RESUME, MIA)
            await stage.event(child, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED, nth=2)
        await stage.retry(child)
        if not is_early:
            await stage.status(child, "held")
            assert stage.agency.story == ["book-hotel", "pay", *["book-flight"] * 2]
            assert await stage.ask(trip, RESUME, MIA) == "running"

        assert (await stage.ending(trip)).closed == "COMPLETED"
        assert stage.agency.story[-2:] == ["look-around", "send-ticket"]


async def test_child_with_a_stuck_compensation_is_not_held(stage: Stage) -> None:
    """The audit trail of the child has no hold, because a hold stops no compensation."""
    stage.agency.when("cancel-flight", refuses("too_late"))
    trip = await stage.start("hotel", Plan(do=("flight", "fail")))
    await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    child = stage.child_of(trip, "leg")
    await stage.status(child, "stuck")

    await stage.ask(trip, HOLD, MIA)
    signaled = await stage.event(child, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED)
    await stage.event(child, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, after=signaled.event_id)

    assert "hold by mia" not in await stage.details(child)
    await stage.retry(child)
    assert (await stage.ending(trip)).saga == "compensated"


async def test_parent_stays_held_after_compensate_when_its_child_is_past_the_pivot(stage: Stage) -> None:
    """P6: compensating is too late then, and a resume continues parent and child."""
    pay = stage.agency.hold("pay")
    trip = await stage.start("hotel", Plan(do=("pay", "look"), is_pivot=True), "ticket")
    await pay.entered.wait()
    child = stage.child_of(trip, "leg")
    await stage.ask(trip, HOLD, MIA)
    await stage.status(child, "held")
    pay.opened.set()
    done = await stage.event(child, COMPLETED)
    await stage.event(child, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, after=done.event_id)

    assert await stage.ask(trip, COMPENSATE, MIA) == "held"
    cancelled = await stage.event(child, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
    await stage.event(child, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, after=cancelled.event_id)
    for saga in (trip, child):
        assert (await stage.details(saga)).startswith("**held**")
    assert await stage.ask(trip, RESUME, MIA) == "running"

    assert (await stage.ending(trip)).closed == "COMPLETED"
    assert stage.agency.story == ["book-hotel", "pay", "look-around", "send-ticket"]


async def test_saga_stays_held_after_compensate_when_its_pivot_is_done(stage: Stage) -> None:
    """P6: the pivot was under way at the time of the request, and has happened."""
    pay = stage.agency.hold("pay")
    trip = await stage.start("hotel", "pay", "look")
    await pay.entered.wait()
    await stage.ask(trip, HOLD, MIA)
    await stage.ask(trip, COMPENSATE, MIA)
    pay.opened.set()
    done = await stage.event(trip, COMPLETED, nth=2)
    await stage.event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, after=done.event_id)
    assert (await stage.details(trip)).startswith("**held**")

    assert await stage.ask(trip, RESUME, MIA) == "running"

    assert (await stage.ending(trip)).closed == "COMPLETED"
    assert stage.agency.story == ["book-hotel", "pay", "look-around"]


async def test_held_child_compensates_with_its_parent(stage: Stage) -> None:
    """No resume is needed first."""
    trip = await stage.start("hotel", Plan(do=("flight", "visa")))
    await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await stage.event(stage.child_of(trip, "leg"), COMPLETED)
    await stage.ask(trip, HOLD, MIA)
    await stage.status(stage.child_of(trip, "leg"), "held")

    await stage.ask(trip, COMPENSATE, MIA)

    assert (await stage.ending(trip)).saga == "compensated"
    assert stage.agency.story[2:] == ["cancel-flight", "cancel-hotel"]


async def test_held_saga_can_be_cancelled_and_compensated(stage: Stage) -> None:
    """Neither a cancel nor a compensate waits for a resume."""
    for verb in ("cancel", COMPENSATE):
        hotel = stage.agency.hold("book-hotel")
        trip = await stage.start("hotel", "flight")
        await hotel.entered.wait()
        await stage.ask(trip, HOLD, MIA)
        hotel.opened.set()
        await stage.event(trip, COMPLETED)
        await (trip.cancel() if verb == "cancel" else stage.ask(trip, COMPENSATE, MIA))

        assert (await stage.ending(trip)).saga == "compensated"
    assert "book-flight" not in stage.agency.story


@pytest.mark.parametrize("word", ["sleep", "wait", "car", "flight|sleep", "leg"])
async def test_compensate_works_wherever_the_saga_waits(stage: Stage, word: str) -> None:
    """The failure of the saga has the code of a requested compensation."""
    stage.agency.when("book-car", Gate().hold_and_beat)
    leg = Plan(do=("flight", "sleep"))
    trip = await stage.start("hotel", leg if word == "leg" else word, "look")
    await stage.event(trip, COMPLETED)
    if word == "leg":
        await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
        await stage.event(stage.child_of(trip, "leg"), EventType.EVENT_TYPE_TIMER_STARTED)
    elif word == "wait":
        await stage.event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, nth=2)
    elif word == "car":
        await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, nth=2)
    else:
        await stage.event(trip, EventType.EVENT_TYPE_TIMER_STARTED)

    assert await stage.ask(trip, COMPENSATE, MIA) == "running"

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "turned_back")
    assert "look-around" not in stage.agency.story
    assert stage.agency.story[-1] == "cancel-hotel"


async def test_compensation_is_skipped(stage: Stage) -> None:
    """The saga ends as settled with the skipped step; the other compensations run."""
    stage.agency.when("cancel-flight", refuses("too_late"))
    trip = await stage.start("hotel", "flight", "fail")
    await stage.status(trip, "stuck")

    assert "'hotel' is not stuck: stuck is 'book-flight'" in await stage.refusal(trip, SKIP, skip("hotel"))
    await stage.ask(trip, SKIP, skip("book-flight"))

    assert await stage.ending(trip) == Ending("FAILED", "settled", "ApplicationError")
    assert stage.agency.story[2:] == ["cancel-flight", "cancel-hotel"]
    error = await stage.failure(trip)
    assert error.type == "SagaSettled"
    assert error.details[3] == {"book-flight": "skipped"}


async def test_compensation_is_completed_manually(stage: Stage) -> None:
    """A compensation that is still being retried can be completed as well."""
    stage.agency.when("cancel-flight", *[breaks()] * 50)
    trip = await stage.start("flight", "fail")
    await stage.status(trip, "stuck")

    await stage.ask(trip, COMPLETE, complete("book-flight"))

    assert (await stage.ending(trip)).saga == "settled"
    assert (await stage.failure(trip)).details[3] == {"book-flight": "completed by hand"}


async def test_step_after_the_pivot_is_completed_manually(stage: Stage) -> None:
    """The operator gives the result of the action; the step cannot be skipped."""
    stage.agency.when("book-hotel", refuses("closed"))
    trip = await stage.start("pay", "hotel", "look")
    await stage.status(trip, "stuck")

    assert "cannot be skipped" in await stage.refusal(trip, SKIP, skip("book-hotel"))
    assert "past its pivot" in await stage.refusal(trip, COMPENSATE, MIA)
    wrong = await stage.refusal(trip, COMPLETE, complete("book-hotel", {"number": 7}))
    assert "does not fit: number" in wrong
    await stage.ask(trip, COMPLETE, complete("book-hotel", {"number": "h-9"}))

    ending = await stage.ending(trip)
    assert (ending.closed, ending.saga) == ("COMPLETED", "settled")
    assert stage.agency.story == ["pay", "book-hotel", "look-around"]


@pytest.mark.parametrize("verb", [SKIP, COMPLETE])
async def test_pivot_in_doubt_is_resolved_manually(stage: Stage, verb: str) -> None:
    """A skipped pivot has not happened, and a completed one has."""
    stage.agency.when("pay", *[breaks(final=True)] * 50)
    trip = await stage.start("hotel", "pay-once", "look")
    await stage.status(trip, "stuck")

    assert "complete it if it has" in await stage.refusal(trip, COMPENSATE, MIA)
    request = skip("pay") if verb == SKIP else complete("pay", {"number": "p-1"})
    await stage.ask(trip, verb, request)

    ending = await stage.ending(trip)
    assert ending.saga == "settled"
    assert (ending.closed, stage.agency.story[-1]) == (
        ("FAILED", "cancel-hotel") if verb == SKIP else ("COMPLETED", "look-around")
    )


async def test_parent_reports_manual_resolutions_of_its_child(stage: Stage) -> None:
    """The resolution has the address of the step in the parent."""
    stage.agency.when("cancel-flight", refuses("too_late"))
    leg = Plan(do=("flight", "fail"))
    trip = await stage.start("hotel", leg)
    child = stage.child_of(trip, "leg")
    await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await stage.status(child, "stuck")

    await stage.ask(child, SKIP, skip("book-flight"))

    assert (await stage.ending(child)).saga == "settled"
    assert (await stage.ending(trip)).saga == "settled"
    assert (await stage.failure(trip)).details[3] == {"leg:book-flight": "skipped"}


@pytest.mark.parametrize("cancelled", ["parent", "child"])
async def test_parent_reports_manual_resolutions_of_a_cancelled_child(stage: Stage, cancelled: str) -> None:
    """Parent and child fail as settled, because a cancelled workflow could not report the resolution."""
    stage.agency.when("cancel-flight", refuses("too_late"))
    trip = await stage.start("hotel", Plan(do=("flight", "sleep")))
    child = stage.child_of(trip, "leg")
    await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await stage.event(child, EventType.EVENT_TYPE_TIMER_STARTED)
    await (trip if cancelled == "parent" else child).cancel()
    await stage.status(child, "stuck")

    await stage.ask(child, SKIP, skip("book-flight"))

    assert await stage.ending(child) == Ending("FAILED", "settled", "cancelled")
    assert await stage.ending(trip) == Ending("FAILED", "settled", "cancelled")
    assert (await stage.failure(trip)).details[3] == {"leg:book-flight": "skipped"}
    assert (await SagaClient(stage.client).show(trip.id)).status == "settled"


async def test_saga_that_is_held_during_its_last_step_does_not_complete(stage: Stage) -> None:
    """The operator can still have the saga compensated."""
    hotel = stage.agency.hold("book-hotel")
    trip = await stage.start("hotel")
    await hotel.entered.wait()
    await stage.ask(trip, HOLD, MIA)
    hotel.opened.set()
    await stage.event(trip, COMPLETED)

    await stage.ask(trip, COMPENSATE, MIA)

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "turned_back")


async def test_cancelled_saga_cannot_be_held(stage: Stage) -> None:
    """The saga is about to compensate, and a hold stops no compensation."""
    flight = stage.agency.hold("book-flight")
    trip = await stage.start("hotel", "flight")
    await flight.entered.wait()
    await trip.cancel()
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED)

    assert "about to compensate" in await stage.refusal(trip, HOLD, MIA)

    flight.opened.set()
    assert await stage.ending(trip) == Ending("CANCELED", "compensated")


@pytest.mark.parametrize("do", [("pay-once",), ("pay", "hotel")])
async def test_saga_that_gets_stuck_during_a_hold_is_held_afterwards(
    stage: Stage, do: tuple[str, ...]
) -> None:
    """A resume is possible before and after the stuck step is done."""
    for is_early in (True, False):
        gate = Gate()
        stage.agency.when("pay" if do == ("pay-once",) else "book-hotel", gate.hold_and_break)
        trip = await stage.start(*do, "look")
        await gate.entered.wait()
        assert await stage.ask(trip, HOLD, MIA) == "held"
        gate.opened.set()
        await stage.status(trip, "stuck")
        if is_early:
            assert await stage.ask(trip, RESUME, MIA) == "stuck"
        await stage.retry(trip)
        if not is_early:
            await stage.status(trip, "held", nth=2)
            assert await stage.ask(trip, RESUME, MIA) == "running"
        assert (await stage.ending(trip)).closed == "COMPLETED"


@pytest.mark.parametrize("verb", [SKIP, COMPLETE])
async def test_pivot_is_not_resolved_during_an_attempt(stage: Stage, verb: str) -> None:
    """P6: an operator cannot know the result of the running attempt."""
    gate = Gate()
    stage.agency.when("pay", breaks(), gate.hold)
    trip = await stage.start("hotel", "pay-once", "look")
    await stage.status(trip, "stuck")
    await stage.retry(trip)
    await gate.entered.wait()

    request = skip("pay") if verb == SKIP else complete("pay", {"number": "p-1"})
    assert "being tried again" in await stage.refusal(trip, verb, request)
    gate.opened.set()

    ending = await stage.ending(trip)
    assert (ending.closed, ending.saga) == ("COMPLETED", "completed")


async def test_completed_compensation_is_not_retried(stage: Stage) -> None:
    """The current round leaves the compensation out; a running compensation cannot be resolved."""
    gate = Gate()
    stage.agency.when("cancel-flight", refuses("too_late"), gate.hold)
    stage.agency.when("cancel-hotel", refuses("too_late"))
    trip = await stage.start("hotel", "flight", "fail")
    await stage.status(trip, "stuck")
    await stage.retry(trip)
    await gate.entered.wait()

    assert "being tried again" in await stage.refusal(trip, SKIP, skip("book-flight"))
    await stage.ask(trip, COMPLETE, complete("book-hotel"))
    gate.opened.set()

    assert (await stage.ending(trip)).saga == "settled"
    assert (await stage.failure(trip)).details[3] == {"book-hotel": "completed by hand"}
    assert stage.agency.story[2:] == ["cancel-flight", "cancel-hotel", "cancel-flight"]


async def test_first_of_two_resolutions_counts(stage: Stage) -> None:
    """The second request is refused, even if both reach the saga at once."""
    stage.agency.when("cancel-hotel", refuses("too_late"))
    trip = await stage.start("hotel", "fail")
    await stage.status(trip, "stuck")
    await stage.close()
    both = [
        asyncio.create_task(trip.execute_update(verb, request, id=verb))
        for verb, request in ((SKIP, skip("book-hotel")), (COMPLETE, complete("book-hotel")))
    ]
    await stage.event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED, nth=4)
    await stage.open()

    answers = await asyncio.gather(*both, return_exceptions=True)

    assert [isinstance(answer, Exception) for answer in answers].count(True) == 1
    assert (await stage.ending(trip)).saga == "settled"


async def test_retry_during_a_round_starts_another_round(stage: Stage) -> None:
    """A compensation that was rejected earlier in the round is attempted again."""
    stage.agency.when("cancel-flight", refuses("too_late"))
    car = stage.agency.hold("cancel-car")
    trip = await stage.start("car", "flight", "fail")
    await car.entered.wait()

    await stage.retry(trip)
    car.opened.set()

    assert (await stage.ending(trip)).saga == "compensated"
    assert stage.agency.story[2:] == ["cancel-flight", "cancel-car", "cancel-flight"]


async def test_impossible_verbs_are_refused(stage: Stage) -> None:
    """A refused verb has a reason, and leaves no event."""
    trip = await stage.start("hotel", "wait")
    await stage.event(trip, COMPLETED)

    assert "not held" in await stage.refusal(trip, RESUME, MIA)
    assert "not stuck" in await stage.refusal(trip, RETRY, MIA)
    assert "nothing is" in await stage.refusal(trip, SKIP, skip("hotel"))
    assert "nothing is" in await stage.refusal(trip, COMPLETE, complete("hotel"))

    await trip.signal("go")
    assert (await stage.ending(trip)).closed == "COMPLETED"
    kinds = {event.event_type async for event in trip.fetch_history_events()}
    assert EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED not in kinds


async def test_verbs_are_refused_after_the_end_of_the_saga(stage: Stage) -> None:
    """The workflow still runs."""
    trip = await stage.start("hotel", "pay", "then-outside")
    await stage.event(trip, COMPLETED, nth=2)
    await stage.event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, nth=3)

    assert "it has ended" in await stage.refusal(trip, HOLD, MIA)
    await trip.signal("go")
    assert (await stage.ending(trip)).closed == "COMPLETED"


async def test_audit_trail_is_part_of_the_current_details(stage: Stage) -> None:
    """Each line has the verb, the operator and the reason."""
    trip = await stage.start("hotel", "wait")
    await stage.event(trip, COMPLETED)
    await stage.ask(trip, HOLD, MIA)
    await stage.ask(trip, RESUME, OperatorRequest(by="tom", because="all is well"))

    details = await stage.details(trip)

    assert " hold by mia: a call from the customer\n" in details
    assert details.endswith(" resume by tom: all is well")
    await trip.signal("go")


async def test_authorize_decides_about_verbs(stage: Stage, server: str) -> None:
    """The function runs in the worker, before the verb is recorded."""

    def only_tom(verb: str, request: OperatorRequest) -> str | None:
        return None if request.by == "tom" else f"{request.by} may not {verb}"

    await stage.close()
    stage.client = await Client.connect(server, plugins=[SagaPlugin(authorize=only_tom)])
    await stage.open()
    trip = await stage.start("hotel", "wait")
    await stage.event(trip, COMPLETED)

    assert "mia may not saga-hold" in await stage.refusal(trip, HOLD, MIA)
    assert await stage.ask(trip, HOLD, OperatorRequest(by="tom", because="x")) == "held"
    await stage.ask(trip, RESUME, OperatorRequest(by="tom", because="x"))
    await trip.signal("go")
    assert (await stage.ending(trip)).closed == "COMPLETED"


@pytest.mark.parametrize("verb", [HOLD, SKIP])
@pytest.mark.parametrize("content", [[], [None]], ids=["nothing", "null"])
async def test_request_without_operator_is_refused(stage: Stage, verb: str, content: list[None]) -> None:
    """An update without arguments or with null has no operator."""
    trip = await stage.start("hotel", "wait")
    await stage.event(trip, COMPLETED)

    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await trip.execute_update(verb, args=content)
    assert "nobody is named who asks for it" in str(refused.value.cause)
    await trip.signal("go")
    assert (await stage.ending(trip)).closed == "COMPLETED"


@pytest.mark.parametrize(
    "request_", [{}, {"by": "mia", "because": "x"}, {"by": "mia", "because": "x", "step": 7}]
)
async def test_malformed_request_is_refused(stage: Stage, request_: dict[str, object]) -> None:
    """The saga does not change."""
    trip = await stage.start("hotel", "wait")
    await stage.event(trip, COMPLETED)

    assert await stage.refusal(trip, SKIP, request_)
    await trip.signal("go")
    assert (await stage.ending(trip)).closed == "COMPLETED"
