"""Effect classes: the place of a step, an unknown outcome without an effect, and the remaining effects."""

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.worker import PatchActivationInput

from sagas import Saga, action, start_saga
from sagas._core.outcome import Outcome
from sagas._core.saga_outcome import Compensated, Settled
from sagas._workflow.forward_execution import READ_ONLY_PATCH
from sagas.operator import SKIP, RemainingEffect, SagaClient, SkipRequest, render_timeline

from ..fixtures.trip_participants import FakeParticipants, fails, rejects
from ..fixtures.trip_plan import TripPlan
from ..fixtures.trip_saga import ONE_ATTEMPT, STEPS
from ..fixtures.worker_harness import WORKFLOWS as USUAL
from ..fixtures.worker_harness import Ending, Handle, WorkerHarness

MARKER = EventType.EVENT_TYPE_MARKER_RECORDED
LOOK, TICKET, TELL = (
    action(activity, options=ONE_ATTEMPT)
    for activity in (
        FakeParticipants.look_around,
        FakeParticipants.send_ticket,
        FakeParticipants.tell_customer,
    )
)


@workflow.defn
class ClassSaga:
    """Passes the pivot with a step of a class, and runs steps of each class after the pivot."""

    @workflow.run
    async def run(self, plan: TripPlan) -> None:
        async with Saga() as saga:
            saga.after_compensation(LOOK.read_only(), plan)
            saga.after_compensation(TELL, plan)
            await saga.step(STEPS["hotel"], plan)
            await saga.best_effort(LOOK.read_only(), plan)
            wrong = {"read-only": LOOK.read_only(), "compensatable": STEPS["flight"]}
            pivot = wrong.get(str(plan.do[0]), TICKET.irreversible())
            await saga.pivot(pivot, plan)  # type: ignore[arg-type] # on purpose
            for step in (TELL.irreversible(), LOOK.read_only(), STEPS["car"], TICKET):
                await saga.step(step, plan)


WORKFLOWS = [*USUAL, ClassSaga]


async def start(harness: WorkerHarness, pivot: str) -> Handle:
    """Starts a `ClassSaga`."""
    harness.workflow_ids.append(f"class-{harness.task_queue}")
    plan = TripPlan(do=(pivot,))
    return await start_saga(
        harness.client, ClassSaga.run, plan, id=harness.workflow_ids[-1], task_queue=harness.task_queue
    )


async def event_kinds(trip: Handle) -> list[int]:
    """The types of the events of a history."""
    return [event.event_type async for event in trip.fetch_history_events()]


@pytest.mark.parametrize(
    ("word", "refusal"),
    [("ticket", "'send-ticket' is irreversible"), ("bare-flight", "'book-flight' has no effect class")],
)
async def test_a_step_whose_effect_would_stay_is_refused_before_the_pivot(
    harness: WorkerHarness, word: str, refusal: str
) -> None:
    """The action is not sent, and the saga compensates; the text names the choices."""
    trip = await harness.start_trip("hotel", word)

    text = (await harness.wait_for_failure(trip)).message
    assert refusal in text
    assert all(choice in text for choice in ("`compensated_by(...)`", "`read_only()`", "`saga.pivot`"))
    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "DefinitionError")
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_an_irreversible_step_is_a_pivot_and_every_class_may_follow(harness: WorkerHarness) -> None:
    """After the pivot nothing is compensated, and a bare action suffices."""
    saga = await start(harness, "irreversible")

    assert (await harness.wait_for_ending(saga)).closed == "COMPLETED"
    assert harness.participants.started == [
        *("book-hotel", "look-around", "send-ticket"),
        *("tell-customer", "look-around", "book-car", "send-ticket"),
    ]


@pytest.mark.parametrize("effect", ["read-only", "compensatable"])
async def test_a_step_of_another_class_is_no_pivot(harness: WorkerHarness, effect: str) -> None:
    """A read-only step has no effect that could stay, and a compensatable step may go first."""
    saga = await start(harness, effect)

    assert f"is {effect}, and a pivot is" in (await harness.wait_for_failure(saga)).message
    assert harness.participants.started[2:] == ["cancel-hotel", "look-around", "tell-customer"]
    remaining = (await SagaClient(harness.client).preview(saga.id)).remaining_effects
    assert remaining == (RemainingEffect(address="tell-customer", outcome=Outcome.DONE),)


async def test_an_unknown_outcome_of_a_read_only_step_is_raised(harness: WorkerHarness) -> None:
    """The saga has no result of the step, and no effect of the step remains."""
    harness.participants.when("look-around", fails())
    trip = await harness.start_trip("hotel", "look")

    outcome = await trip.outcome()

    assert isinstance(outcome, Compensated)
    assert (outcome.code, outcome.remaining_effects) == ("unknown_outcome", ())
    assert MARKER not in await event_kinds(trip)


@pytest.mark.parametrize("rest", [(), ("flight",), ("pay",), ("again", "pay"), ("again",)], ids="-".join)
async def test_a_saga_completes_after_an_ignored_unknown_outcome_of_a_read_only_step(
    harness: WorkerHarness, rest: tuple[str, ...]
) -> None:
    """P2: no effect is in doubt, also in the next run of a saga that continues as new."""
    harness.participants.when("look-around", fails())
    trip = await harness.start_trip("hotel", "anyway-look", *rest)

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"


async def test_a_known_outcome_of_a_read_only_step_costs_no_event(harness: WorkerHarness) -> None:
    """Only a saga that goes on after an unknown outcome writes the patch."""
    trip = await harness.start_trip("hotel", "look", "pay")

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert MARKER not in await event_kinds(trip)


async def test_a_history_from_before_the_effect_classes_replays(harness: WorkerHarness) -> None:
    """The saga compensated after the ignored outcome; the fixture replays the history with the patch."""
    await harness.stop_workers()

    def is_old(patch: PatchActivationInput) -> bool:
        return patch.patch_id != READ_ONLY_PATCH

    await harness.start_worker(is_patch_active=is_old)
    harness.participants.when("look-around", fails())
    trip = await harness.start_trip("hotel", "anyway-look", "pay")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "unknown_outcome")
    assert harness.participants.started == ["book-hotel", "look-around", "cancel-hotel"]
    assert MARKER not in await event_kinds(trip)


@pytest.mark.parametrize("end", ["fail", "cancel"])
async def test_the_outcome_of_a_compensated_saga_has_the_effects_that_stay(
    harness: WorkerHarness, end: str
) -> None:
    """Best efforts that are done or unknown, and steps after the compensation; no read-only step.

    A workflow that closes as cancelled has no details: the effects are read from the history, without events.
    """
    harness.participants.when("book-flight", fails())
    words = ("hotel", "look", "best-effort-ticket", "best-effort-bare-flight", "best-effort-car")
    trip = await harness.start_trip("tell", *words, "fail" if end == "fail" else "sleep")
    if end == "cancel":
        await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=4)
        await harness.wait_for_event(trip, EventType.EVENT_TYPE_TIMER_STARTED)
        await trip.cancel()

    outcome = await trip.outcome()

    expected = (
        RemainingEffect(address="send-ticket", outcome=Outcome.DONE),
        RemainingEffect(address="book-flight", outcome=Outcome.UNKNOWN),
        RemainingEffect(address="tell-customer", outcome=Outcome.DONE),
    )
    assert isinstance(outcome, Compensated)
    assert (outcome.is_cancelled, outcome.remaining_effects) == (end == "cancel", expected)
    assert MARKER not in await event_kinds(trip)
    timeline = await SagaClient(harness.client).show(trip.id)
    assert timeline.remaining_effects == expected
    assert "  book-flight (unknown)" in render_timeline(timeline).splitlines()


async def test_an_unknown_step_after_the_compensation_may_stay(harness: WorkerHarness) -> None:
    """The step may have had an effect."""
    harness.participants.when("tell-customer", fails())
    trip = await harness.start_trip("tell", "hotel", "fail")

    outcome = await trip.outcome()

    assert isinstance(outcome, Compensated)
    assert outcome.remaining_effects == (RemainingEffect(address="tell-customer", outcome=Outcome.UNKNOWN),)


@pytest.mark.parametrize(
    ("do", "address"),
    [("flight", "book-flight"), (TripPlan(do=("flight",)), "leg:book-flight")],
    ids=["step", "step of a child"],
)
async def test_a_skipped_compensation_stays_with_the_operator_and_the_reason(
    harness: WorkerHarness, do: "str | TripPlan", address: str
) -> None:
    """Also where the parent runs the compensation of a completed child."""
    harness.participants.when("cancel-flight", rejects())
    trip = await harness.start_trip("hotel", do, "fail")
    await harness.wait_for_status(trip, "stuck")
    await harness.send_update(trip, SKIP, SkipRequest(by="mia", because="a voucher was sent", step=address))

    outcome = await trip.outcome()

    reason = "skipped by mia: a voucher was sent"
    assert isinstance(outcome, Settled)
    assert outcome.remaining_effects == (
        RemainingEffect(address=address, outcome=Outcome.DONE, reason=reason),
    )
