"""How a saga ended whose workflow was terminated or timed out, before and after a rescue."""

import asyncio
from datetime import timedelta

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowExecutionStatus

from sagas import SKIP, Compensated, Completed, CutOff, SagaHandle, SagaOutcome, Settled, SkipRequest
from sagas._core.outcome import Outcome
from sagas._history.preview import PlannedCompensation, RemainingEffect

from ..fixtures.trip_rescues import rescue, rescued
from ..fixtures.trip_saga import CarelessChild, Plan, TripSaga, refuses
from ..fixtures.trip_worker import PATIENCE, Stage
from ..operator.test_reset import reset

pytestmark = pytest.mark.parametrize("stage", [1000], indirect=True, ids=["cached"])
DONE = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
TASK_COMPLETED = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
HOTEL = PlannedCompensation(address="book-hotel", activity="cancel-hotel")
FLIGHT = PlannedCompensation(address="book-flight", activity="cancel-flight")


@workflow.defn
class HastyTrip(TripSaga):
    """A trip that does not see its run timeout, with which a saga would refuse to begin."""

    @workflow.run
    async def run(self, plan: Plan) -> list[str]:
        object.__setattr__(workflow.info(), "run_timeout", None)
        return await super().run(plan)


WORKFLOWS: list[type] = [TripSaga, HastyTrip, CarelessChild]


async def interrupted(stage: Stage, *do: "str | Plan", bookings: int = 2) -> SagaHandle[list[str]]:
    """A trip that was terminated after so many bookings."""
    trip = await stage.start(*do)
    last = await stage.event(trip, DONE, nth=bookings)
    await stage.event(trip, TASK_COMPLETED, after=last.event_id)
    await trip.terminate(reason="by mistake")
    return trip


async def is_waiting(outcome: "asyncio.Task[SagaOutcome[list[str]]]", stage: Stage, workflow_id: str) -> bool:
    """Tells whether a call of `outcome` waits while a workflow is open."""
    description = await stage.client.get_workflow_handle(workflow_id).describe()
    return description.status is WorkflowExecutionStatus.RUNNING and not outcome.done()


async def test_terminated_saga_says_what_is_pending(stage: Stage) -> None:
    """The newest compensation first; and the effects that no rescue would compensate."""
    trip = await interrupted(stage, "hotel", "look", "flight", "wait", bookings=3)

    assert await trip.outcome() == CutOff(
        how="terminated",
        reason="by mistake",
        pending_compensations=(FLIGHT, HOTEL),
        remaining_effects=(RemainingEffect(address="look-around", outcome=Outcome.DONE),),
    )


async def test_saga_that_was_terminated_before_its_first_step_has_nothing_pending(stage: Stage) -> None:
    """So nothing has to be rescued."""
    trip = await stage.start("wait")
    await stage.event(trip, TASK_COMPLETED)
    await trip.terminate(reason="by mistake")

    assert await trip.outcome() == CutOff(how="terminated", reason="by mistake")


async def test_timed_out_saga_says_what_is_pending(stage: Stage) -> None:
    """And is compensated once it was rescued."""
    started = await stage.client.start_workflow(
        HastyTrip.run,
        Plan(do=("hotel", "wait")),
        id=f"hasty-{stage.task_queue}",
        task_queue=stage.task_queue,
        run_timeout=timedelta(seconds=4),
    )
    trip = SagaHandle.for_id(stage.client, started.id, HastyTrip.run)

    before = await trip.outcome()
    await rescued(stage, trip.id)
    after = await trip.outcome()

    assert isinstance(before, CutOff)
    assert (before.how, before.pending_compensations) == ("timed-out", (HOTEL,))
    assert isinstance(after, Compensated)
    assert (after.code, after.rescue_id) == ("timed_out", f"{trip.id}~rescue")


async def test_saga_that_a_rescue_compensates_is_waited_for(stage: Stage) -> None:
    """As long as the rescue is open; then the saga is compensated, and says by what."""
    trip = await interrupted(stage, "hotel", "flight", "wait")
    gate = stage.agency.hold("cancel-flight")
    found = await rescue(stage, trip.id)
    stage.ids.append(found.workflow_id)
    await gate.entered.wait()
    waiting = asyncio.create_task(trip.outcome())
    other = asyncio.create_task(SagaHandle.for_id(stage.client, found.workflow_id, TripSaga.run).outcome())
    await stage.event(stage.client.get_workflow_handle(found.workflow_id), TASK_COMPLETED)
    assert await is_waiting(waiting, stage, found.workflow_id)
    gate.opened.set()

    async with asyncio.timeout(PATIENCE):
        outcome = await waiting

    assert outcome == Compensated("terminated", reason="by mistake", rescue_id=found.workflow_id)
    assert await other == outcome
    assert stage.agency.story[2:] == ["cancel-flight", "cancel-hotel"]


async def test_compensation_that_was_skipped_in_a_rescue_settles_the_saga(stage: Stage) -> None:
    """With the effect that remains."""
    trip = await interrupted(stage, "hotel", "flight", "wait")
    stage.agency.when("cancel-flight", refuses("too_late"))
    found = await rescue(stage, trip.id)
    stage.ids.append(found.workflow_id)
    handle = stage.client.get_workflow_handle(found.workflow_id)
    await stage.status(handle, "stuck")
    await stage.ask(handle, SKIP, SkipRequest(by="mia", because="it is paid", step="book-flight"))

    assert await trip.outcome() == Settled(
        None,
        "terminated",
        is_compensated=True,
        manual_resolutions={"book-flight": "skipped"},
        reason="by mistake",
        rescue_id=found.workflow_id,
        remaining_effects=(
            RemainingEffect(
                address="book-flight", outcome=Outcome.DONE, because="skipped by mia: it is paid"
            ),
        ),
    )


async def test_rescue_that_was_terminated_leaves_the_rest_pending(stage: Stage) -> None:
    """Its id says which rescue."""
    trip = await interrupted(stage, "hotel", "flight", "wait")
    gate = stage.agency.hold("cancel-hotel")
    found = await rescue(stage, trip.id)
    await gate.entered.wait()
    await stage.client.get_workflow_handle(found.workflow_id).terminate(reason="by mistake, too")
    gate.opened.set()

    assert await trip.outcome() == CutOff(
        how="terminated",
        reason="by mistake",
        pending_compensations=(HOTEL,),
        rescue_id=found.workflow_id,
    )


async def test_saga_that_a_rescue_resumes_past_its_pivot_is_followed(stage: Stage) -> None:
    """It completes in a new run; before the rescue, nothing of it would be compensated."""
    trip = await interrupted(stage, "hotel", "pay", "wait", "look")
    before = await trip.outcome()
    await rescue(stage, trip.id)
    await stage.client.get_workflow_handle(trip.id).signal("go")

    assert isinstance(before, CutOff)
    assert (before.is_past_pivot, before.pending_compensations) == (True, ())
    assert [each.address for each in before.remaining_effects] == ["book-hotel", "pay"]
    assert await trip.outcome() == Completed(["hotel", "pay", "wait", "look"])


async def test_saga_that_continued_as_new_is_compensated_by_a_rescue(stage: Stage) -> None:
    """The steps of all its runs are."""
    trip = await stage.start("hotel", "again", "flight", "wait")
    later = await stage.next_run(trip)
    await stage.event(later, DONE)
    await later.terminate(reason="by mistake")
    before = await trip.outcome()
    found = await rescued(stage, trip.id)

    assert isinstance(before, CutOff)
    assert before.pending_compensations == (FLIGHT, HOTEL)
    assert await trip.outcome() == Compensated("terminated", reason="by mistake", rescue_id=found.workflow_id)


async def test_pending_compensations_of_a_terminated_child_are_pending_in_its_parent(stage: Stage) -> None:
    """The history of the child tells them, also where the parent was terminated before it could."""
    trip = await stage.start("hotel", Plan(do=("flight", "wait")))
    child = SagaHandle.for_id(stage.client, f"{trip.id}/leg")
    await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    done = await stage.event(child, DONE)
    await stage.event(child, TASK_COMPLETED, after=done.event_id)
    await child.terminate(reason="by mistake")
    of_child = await child.outcome()
    await stage.status(trip, "stuck")
    await trip.terminate(reason="by mistake")

    assert of_child == CutOff(how="terminated", reason="by mistake", pending_compensations=(FLIGHT,))
    outcome = await trip.outcome()
    assert isinstance(outcome, CutOff)
    # The saga had compensated its own step before it got stuck with the child.
    assert [each.address for each in outcome.pending_compensations] == ["leg:book-flight"]
    assert outcome.unresolved_children == ()


async def test_child_whose_compensations_nobody_can_tell_is_unresolved(stage: Stage) -> None:
    """Its activities belong to no saga; a person has to look."""
    trip = await stage.start("hotel", "careless-child")
    await stage.status(trip, "stuck")
    await trip.terminate(reason="by mistake")

    outcome = await trip.outcome()
    assert isinstance(outcome, CutOff)
    assert outcome.unresolved_children == ("careless",)


async def test_effect_from_before_a_reset_remains_until_a_rescue(stage: Stage) -> None:
    """The saga compensated the steps that its new run knows of."""
    trip = await stage.start("hotel", "wait", "flight", "sleep")
    await stage.event(trip, DONE)
    await trip.signal("go")
    await stage.event(trip, DONE, nth=2)
    anew = await reset(stage.client, trip.id, before="book-hotel")
    await stage.event(anew, DONE)
    await anew.cancel()

    before = await trip.outcome()
    await rescued(stage, trip.id)
    after = await trip.outcome()

    assert isinstance(before, Compensated)
    assert [(each.address, each.because) for each in before.remaining_effects] == [
        ("book-flight", "from before a reset of the workflow; a rescue compensates it")
    ]
    assert after == Compensated("cancelled", reason=before.reason, is_cancelled=True)
