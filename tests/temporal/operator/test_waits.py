"""An operator sees for whom an open saga waits, since when, and the command that ends the wait."""

import asyncio
import shlex

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import PauseActivityRequest

from sagas.operator import CompensationState, SagaClient, render_list, render_timeline
from tests.waiting import until

from ..fixtures.trip_participants import fails
from ..fixtures.trip_plan import TripPlan
from ..fixtures.worker_harness import Handle, WorkerHarness

pytestmark = pytest.mark.parametrize("harness", [1000], indirect=True, ids=["cached"])

TIMER = EventType.EVENT_TYPE_TIMER_STARTED


async def pause(harness: WorkerHarness, handle: Handle, activity_id: str) -> None:
    """Pauses an activity, as `temporal activity pause` does."""
    await harness.client.workflow_service.pause_activity(
        PauseActivityRequest(
            namespace=harness.client.namespace,
            execution=WorkflowExecution(workflow_id=handle.id),
            id=activity_id,
            identity="mia",
            reason="the participant is down",
        )
    )


async def execute(program: str, server: str, command: str) -> None:
    """Executes a command of Temporal as shown to the operator."""
    _, *arguments = shlex.split(command)
    process = await asyncio.create_subprocess_exec(
        program, *arguments, "--address", server, stdout=asyncio.subprocess.DEVNULL
    )
    assert await process.wait() == 0


async def test_a_due_retry_without_a_worker_waits_for_a_worker(harness: WorkerHarness) -> None:
    """Not for an operator: the next attempt is due, and begins as soon as a worker polls."""
    harness.participants.when("cancel-flight", fails())
    trip = await harness.start_trip("flight", "fail")
    await harness.wait_for_status(trip, "stuck")
    await harness.stop_workers()
    due = await harness.wait_for_event(trip, EventType.EVENT_TYPE_TIMER_FIRED)
    operator = SagaClient(harness.client)
    assert "for-operator" not in [wait.condition for wait in (await operator.show(trip.id)).waits]

    async def waits_for_worker() -> bool:
        return [wait.condition for wait in (await operator.show(trip.id)).waits] == ["for-worker"]

    await until(waits_for_worker)
    timeline = await operator.show(trip.id)
    (wait,) = timeline.waits
    assert wait.subject == harness.task_queue
    assert wait.since is not None
    assert abs((wait.since - due.event_time.ToDatetime(wait.since.tzinfo)).total_seconds()) < 1
    assert (
        f"waits: for a worker of task queue '{harness.task_queue}': no worker has taken the workflow task "
        in (render_timeline(timeline, width=300))
    )
    await harness.start_worker()
    assert (await harness.wait_for_ending(trip)).saga == "compensated"


@pytest.mark.parametrize("kind", ["step", "compensation"])
async def test_a_paused_activity_is_shown_with_the_command_that_unpauses_it(
    harness: WorkerHarness, kind: str, temporal_program: str, server: str
) -> None:
    """The activity is not under way: no attempt begins until somebody unpauses the activity."""
    activity_id = "book-hotel" if kind == "step" else "compensate.book-hotel"
    latch = harness.participants.block("book-hotel" if kind == "step" else "cancel-hotel")
    trip = await harness.start_trip("hotel", "fail")
    await latch.entered.wait()
    operator = SagaClient(harness.client)
    await pause(harness, trip, activity_id)

    timeline = await operator.show(trip.id)

    (wait,) = timeline.waits
    assert (wait.condition, wait.subject) == ("until-activity-unpaused", activity_id)
    (line,) = timeline.steps
    assert line.is_paused is (kind == "step")
    assert kind == "step" or line.compensations[0].state is CompensationState.PAUSED
    text = render_timeline(timeline, width=200)
    assert "PAUSED" in text
    assert wait.command in text
    await execute(temporal_program, server, wait.command)
    assert (await operator.show(trip.id)).waits == ()
    latch.released.set()
    assert (await harness.wait_for_ending(trip)).saga == "compensated"


async def test_sagas_that_wait_for_an_approval_are_listed(harness: WorkerHarness) -> None:
    """Children as well, each with the role that may decide, and the command to type."""
    trip = await harness.start_trip("hotel", "boss")
    parent = await harness.start_trip(TripPlan(do=("boss",)))
    other = await harness.start_trip("hotel", "wait")
    child = harness.child_of(parent, "leg")
    await harness.wait_for_event(trip, TIMER)
    await harness.wait_for_event(parent, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await harness.wait_for_event(child, TIMER)
    operator, query = SagaClient(harness.client), f"TaskQueue = '{harness.task_queue}'"

    async def are_listed() -> bool:
        return (await harness.client.count_workflows(f"{query} AND ExecutionStatus = 'Running'")).count == 4

    await until(are_listed)
    listed = await operator.list(status="waiting", query=query)

    assert {saga.id for saga in listed} == {trip.id, child.id}
    assert {saga.status for saga in listed} == {"running"}
    for saga in listed:
        (approval,) = saga.approvals
        assert (approval.subject, approval.role) == ("big-trip", "boss")
        assert approval.command == f"sagas approve {saga.id} big-trip --role boss --because REASON"
        assert "waits until big-trip is approved by boss" in render_list(listed, width=200)
    assert len(await operator.list(status="waiting", query=query, limit=1)) == 1
    # The timeline of the parent names the approval of the child, too.
    assert f"sagas approve {child.id} big-trip" in render_timeline(await operator.show(parent.id), width=200)
    await operator.approve(trip.id, "big-trip", by="mia", because="x", roles=frozenset({"boss"}))
    await operator.approve(child.id, "big-trip", by="mia", because="x", roles=frozenset({"boss"}))
    await other.signal("go")
    for each in (trip, parent, other):
        assert (await harness.wait_for_ending(each)).closed == "COMPLETED"
    assert await operator.list(status="waiting", query=query) == ()
