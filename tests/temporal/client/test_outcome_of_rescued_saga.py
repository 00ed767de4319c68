"""The outcome of a saga with a terminated or timed out workflow, before and after a rescue."""

import asyncio
from datetime import timedelta

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowExecutionStatus

from sagas._client.outcome import Compensated, Completed, CutOff, SagaOutcome, Settled
from sagas._client.saga_handle import SagaHandle
from sagas._core.outcome import Outcome
from sagas.operator import SKIP, PlannedCompensation, RemainingEffect, SkipRequest

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
    """A trip that ignores the run timeout; a saga would refuse to begin."""

    @workflow.run
    async def run(self, plan: Plan) -> list[str]:
        object.__setattr__(workflow.info(), "run_timeout", None)
        return await super().run(plan)


WORKFLOWS: list[type] = [TripSaga, HastyTrip, CarelessChild]


async def interrupted(stage: Stage, *do: "str | Plan", bookings: int = 2) -> SagaHandle[list[str]]:
    """A trip, terminated after a number of bookings."""
    trip = await stage.start(*do)
    last = await stage.event(trip, DONE, nth=bookings)
    await stage.event(trip, TASK_COMPLETED, after=last.event_id)
    await trip.terminate(reason="by mistake")
    return trip


async def is_waiting(outcome: "asyncio.Task[SagaOutcome[list[str]]]", stage: Stage, workflow_id: str) -> bool:
    """Tells whether a call of `outcome` waits while a workflow is open."""
    description = await stage.client.get_workflow_handle(workflow_id).describe()
    return description.status is WorkflowExecutionStatus.RUNNING and not outcome.done()


async def test_terminated_saga_has_pending_compensations(stage: Stage) -> None:
    """The newest compensation comes first; effects without a compensation are separate."""
    trip = await interrupted(stage, "hotel", "look", "flight", "wait", bookings=3)

    assert await trip.outcome() == CutOff(
        how="terminated",
        reason="by mistake",
        pending_compensations=(FLIGHT, HOTEL),
        remaining_effects=(RemainingEffect(address="look-around", outcome=Outcome.DONE),),
    )


async def test_saga_terminated_before_the_first_step_has_no_pending_compensations(stage: Stage) -> None:
    """No rescue is necessary."""
    trip = await stage.start("wait")
    await stage.event(trip, TASK_COMPLETED)
    await trip.terminate(reason="by mistake")

    assert await trip.outcome() == CutOff(how="terminated", reason="by mistake")


async def test_timed_out_saga_has_pending_compensations(stage: Stage) -> None:
    """After a rescue, the saga is compensated."""
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


async def test_outcome_waits_for_an_open_rescue(stage: Stage) -> None:
    """The call returns when the rescue has closed, and names the rescue."""
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


async def test_compensation_skipped_in_a_rescue_settles_the_saga(stage: Stage) -> None:
    """The effect of the skipped step remains."""
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


async def test_terminated_rescue_leaves_compensations_pending(stage: Stage) -> None:
    """The outcome names the interrupted rescue."""
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


async def test_outcome_follows_a_saga_resumed_past_the_pivot(stage: Stage) -> None:
    """The saga completes in a new run; before the rescue, no compensation was pending."""
    trip = await interrupted(stage, "hotel", "pay", "wait", "look")
    before = await trip.outcome()
    await rescue(stage, trip.id)
    await stage.client.get_workflow_handle(trip.id).signal("go")

    assert isinstance(before, CutOff)
    assert (before.is_past_pivot, before.pending_compensations) == (True, ())
    assert [each.address for each in before.remaining_effects] == ["book-hotel", "pay"]
    assert await trip.outcome() == Completed(["hotel", "pay", "wait", "look"])


async def test_saga_that_continued_as_new_is_compensated_by_a_rescue(stage: Stage) -> None:
    """Steps of every run are compensated."""
    trip = await stage.start("hotel", "again", "flight", "wait")
    later = await stage.next_run(trip)
    await stage.event(later, DONE)
    await later.terminate(reason="by mistake")
    before = await trip.outcome()
    found = await rescued(stage, trip.id)

    assert isinstance(before, CutOff)
    assert before.pending_compensations == (FLIGHT, HOTEL)
    assert await trip.outcome() == Compensated("terminated", reason="by mistake", rescue_id=found.workflow_id)


async def test_parent_has_the_pending_compensations_of_a_terminated_child(stage: Stage) -> None:
    """The child's history has the compensations; the parent was terminated as well."""
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


async def test_child_with_activities_outside_of_a_saga_is_unresolved(stage: Stage) -> None:
    """The child ran activities outside of a saga; a person has to look."""
    trip = await stage.start("hotel", "careless-child")
    await stage.status(trip, "stuck")
    await trip.terminate(reason="by mistake")

    outcome = await trip.outcome()
    assert isinstance(outcome, CutOff)
    assert outcome.unresolved_children == ("careless",)


async def test_effect_from_before_a_reset_remains_until_a_rescue(stage: Stage) -> None:
    """The new run of the saga compensates the steps of the new run only."""
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
