"""The outcome of a saga with a terminated or timed out workflow, before and after a rescue."""

import asyncio
from datetime import timedelta

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowExecutionStatus

from sagas._client.saga_handle import SagaHandle
from sagas._core.outcome import Outcome
from sagas._core.saga_outcome import Compensated, Completed, CutOff, ResolvedStep, SagaOutcome, Settled
from sagas.operator import SKIP, PlannedCompensation, RemainingEffect, SkipRequest

from ..fixtures.trip_participants import rejects
from ..fixtures.trip_plan import TripPlan
from ..fixtures.trip_rescues import rescue, rescued
from ..fixtures.trip_saga import ChildWithoutSaga, TripSaga
from ..fixtures.worker_harness import PATIENCE, WorkerHarness
from ..operator.test_reset import reset

pytestmark = pytest.mark.parametrize("harness", [1000], indirect=True, ids=["cached"])
DONE = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
TASK_COMPLETED = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
HOTEL = PlannedCompensation(address="book-hotel", activity="cancel-hotel")
FLIGHT = PlannedCompensation(address="book-flight", activity="cancel-flight")


@workflow.defn
class HastyTrip(TripSaga):
    """A trip that ignores the run timeout; a saga would refuse to begin."""

    @workflow.run
    async def run(self, plan: TripPlan) -> list[str]:
        object.__setattr__(workflow.info(), "run_timeout", None)
        return await super().run(plan)


WORKFLOWS: list[type] = [TripSaga, HastyTrip, ChildWithoutSaga]


async def interrupted(
    harness: WorkerHarness, *do: "str | TripPlan", bookings: int = 2
) -> SagaHandle[list[str]]:
    """A trip, terminated after a number of bookings."""
    trip = await harness.start_trip(*do)
    last = await harness.wait_for_event(trip, DONE, nth=bookings)
    await harness.wait_for_event(trip, TASK_COMPLETED, after=last.event_id)
    await trip.terminate(reason="by mistake")
    return trip


async def is_waiting(
    outcome: "asyncio.Task[SagaOutcome[list[str]]]", harness: WorkerHarness, workflow_id: str
) -> bool:
    """Tells whether a call of `outcome` waits while a workflow is open."""
    description = await harness.client.get_workflow_handle(workflow_id).describe()
    return description.status is WorkflowExecutionStatus.RUNNING and not outcome.done()


async def test_terminated_saga_has_pending_compensations(harness: WorkerHarness) -> None:
    """The newest compensation comes first; effects without a compensation are separate."""
    trip = await interrupted(harness, "hotel", "best-effort-ticket", "flight", "wait", bookings=3)

    assert await trip.outcome() == CutOff(
        how="terminated",
        reason="by mistake",
        pending_compensations=(FLIGHT, HOTEL),
        remaining_effects=(RemainingEffect(address="send-ticket", outcome=Outcome.DONE),),
    )


async def test_saga_terminated_before_the_first_step_has_no_pending_compensations(
    harness: WorkerHarness,
) -> None:
    """No rescue is necessary."""
    trip = await harness.start_trip("wait")
    await harness.wait_for_event(trip, TASK_COMPLETED)
    await trip.terminate(reason="by mistake")

    assert await trip.outcome() == CutOff(how="terminated", reason="by mistake")


async def test_timed_out_saga_has_pending_compensations(harness: WorkerHarness) -> None:
    """After a rescue, the saga is compensated."""
    started = await harness.client.start_workflow(
        HastyTrip.run,
        TripPlan(do=("hotel", "wait")),
        id=f"hasty-{harness.task_queue}",
        task_queue=harness.task_queue,
        run_timeout=timedelta(seconds=4),
    )
    trip = SagaHandle.for_id(harness.client, started.id, HastyTrip.run)

    before = await trip.outcome()
    await rescued(harness, trip.id)
    after = await trip.outcome()

    assert isinstance(before, CutOff)
    assert (before.how, before.pending_compensations) == ("timed-out", (HOTEL,))
    assert isinstance(after, Compensated)
    assert (after.code, after.rescue_id) == ("timed_out", f"{trip.id}~rescue")


async def test_outcome_waits_for_an_open_rescue(harness: WorkerHarness) -> None:
    """The call returns when the rescue has closed, and names the rescue."""
    trip = await interrupted(harness, "hotel", "flight", "wait")
    latch = harness.participants.block("cancel-flight")
    found = await rescue(harness, trip.id)
    harness.workflow_ids.append(found.workflow_id)
    await latch.entered.wait()
    waiting = asyncio.create_task(trip.outcome())
    other = asyncio.create_task(SagaHandle.for_id(harness.client, found.workflow_id, TripSaga.run).outcome())
    await harness.wait_for_event(harness.client.get_workflow_handle(found.workflow_id), TASK_COMPLETED)
    assert await is_waiting(waiting, harness, found.workflow_id)
    latch.released.set()

    async with asyncio.timeout(PATIENCE):
        outcome = await waiting

    assert outcome == Compensated("terminated", reason="by mistake", rescue_id=found.workflow_id)
    assert await other == outcome
    assert harness.participants.started[2:] == ["cancel-flight", "cancel-hotel"]


async def test_compensation_skipped_in_a_rescue_settles_the_saga(harness: WorkerHarness) -> None:
    """The effect of the skipped step remains."""
    trip = await interrupted(harness, "hotel", "flight", "wait")
    harness.participants.when("cancel-flight", rejects("too_late"))
    found = await rescue(harness, trip.id)
    harness.workflow_ids.append(found.workflow_id)
    handle = harness.client.get_workflow_handle(found.workflow_id)
    await harness.wait_for_status(handle, "stuck")
    await harness.send_update(handle, SKIP, SkipRequest(by="mia", because="it is paid", step="book-flight"))

    assert await trip.outcome() == Settled(
        None,
        "terminated",
        is_compensated=True,
        manual_resolutions={"book-flight": "skipped"},
        reason="by mistake",
        rescue_id=found.workflow_id,
        remaining_effects=(
            RemainingEffect(address="book-flight", outcome=Outcome.DONE, reason="skipped by mia: it is paid"),
        ),
        resolved_steps=(
            ResolvedStep(
                address="book-flight",
                resolution="skipped",
                by="mia",
                because="it is paid",
                code="too_late",
                reason="too_late, sorry",
            ),
        ),
    )


async def test_terminated_rescue_leaves_compensations_pending(harness: WorkerHarness) -> None:
    """The outcome names the interrupted rescue."""
    trip = await interrupted(harness, "hotel", "flight", "wait")
    latch = harness.participants.block("cancel-hotel")
    found = await rescue(harness, trip.id)
    await latch.entered.wait()
    await harness.client.get_workflow_handle(found.workflow_id).terminate(reason="by mistake, too")
    latch.released.set()

    assert await trip.outcome() == CutOff(
        how="terminated",
        reason="by mistake",
        pending_compensations=(HOTEL,),
        rescue_id=found.workflow_id,
    )


async def test_outcome_follows_a_saga_resumed_past_the_pivot(harness: WorkerHarness) -> None:
    """The saga completes in a new run; before the rescue, no compensation was pending."""
    trip = await interrupted(harness, "hotel", "pay", "wait", "look")
    before = await trip.outcome()
    await rescue(harness, trip.id)
    await harness.client.get_workflow_handle(trip.id).signal("go")

    assert isinstance(before, CutOff)
    assert (before.is_past_pivot, before.pending_compensations) == (True, ())
    assert [each.address for each in before.remaining_effects] == ["book-hotel", "pay"]
    assert await trip.outcome() == Completed(["hotel", "pay", "wait", "look"])


async def test_saga_that_continued_as_new_is_compensated_by_a_rescue(harness: WorkerHarness) -> None:
    """Steps of every run are compensated."""
    trip = await harness.start_trip("hotel", "again", "flight", "wait")
    later = await harness.wait_for_next_run(trip)
    await harness.wait_for_event(later, DONE)
    await later.terminate(reason="by mistake")
    before = await trip.outcome()
    found = await rescued(harness, trip.id)

    assert isinstance(before, CutOff)
    assert before.pending_compensations == (FLIGHT, HOTEL)
    assert await trip.outcome() == Compensated("terminated", reason="by mistake", rescue_id=found.workflow_id)


async def test_parent_has_the_pending_compensations_of_a_terminated_child(harness: WorkerHarness) -> None:
    """The child's history has the compensations; the parent was terminated as well."""
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "wait")))
    child = SagaHandle.for_id(harness.client, f"{trip.id}/leg")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    done = await harness.wait_for_event(child, DONE)
    await harness.wait_for_event(child, TASK_COMPLETED, after=done.event_id)
    await child.terminate(reason="by mistake")
    of_child = await child.outcome()
    await harness.wait_for_status(trip, "stuck")
    await trip.terminate(reason="by mistake")

    assert of_child == CutOff(how="terminated", reason="by mistake", pending_compensations=(FLIGHT,))
    outcome = await trip.outcome()
    assert isinstance(outcome, CutOff)
    # The saga had compensated its own step before it got stuck with the child.
    assert [each.address for each in outcome.pending_compensations] == ["leg:book-flight"]
    assert outcome.unresolved_children == ()


async def test_child_with_activities_outside_of_a_saga_is_unresolved(harness: WorkerHarness) -> None:
    """The child ran activities outside of a saga; a person has to look."""
    trip = await harness.start_trip("hotel", "child-without-saga")
    await harness.wait_for_status(trip, "stuck")
    await trip.terminate(reason="by mistake")

    outcome = await trip.outcome()
    assert isinstance(outcome, CutOff)
    assert outcome.unresolved_children == ("without-saga",)


async def test_effect_from_before_a_reset_remains_until_a_rescue(harness: WorkerHarness) -> None:
    """The new run of the saga compensates the steps of the new run only."""
    trip = await harness.start_trip("hotel", "wait", "flight", "sleep")
    await harness.wait_for_event(trip, DONE)
    await trip.signal("go")
    await harness.wait_for_event(trip, DONE, nth=2)
    anew = await reset(harness.client, trip.id, before="book-hotel")
    await harness.wait_for_event(anew, DONE)
    await anew.cancel()

    before = await trip.outcome()
    await rescued(harness, trip.id)
    after = await trip.outcome()

    assert isinstance(before, Compensated)
    assert [(each.address, each.reason) for each in before.remaining_effects] == [
        ("book-flight", "from before a reset of the workflow; a rescue compensates it")
    ]
    assert after == Compensated("cancelled", reason=before.reason, is_cancelled=True)
