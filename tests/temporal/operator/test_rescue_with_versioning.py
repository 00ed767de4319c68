"""Rescues on workers with Worker Deployment Versioning: a rescue needs no worker of the saga's version."""

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import Worker, WorkerDeploymentConfig

from sagas.operator import RescueDecision
from tests.worker_versions import make_current, until_registered, version_of

from ..fixtures.trip_participants import rejects
from ..fixtures.trip_plan import TripPlan
from ..fixtures.trip_rescues import rescue, rescued, uncompensated_bookings
from ..fixtures.trip_saga import TripSaga
from ..fixtures.worker_harness import Handle, WorkerHarness

pytestmark = pytest.mark.parametrize("harness", [1000], indirect=True, ids=["cached"])


@workflow.defn(name="PinnedTrip", versioning_behavior=VersioningBehavior.PINNED)
class PinnedTrip(TripSaga):
    """A trip that stays on the version of the worker that started the trip."""

    @workflow.run
    async def run(self, plan: TripPlan) -> list[str]:
        return await super().run(plan)


WORKFLOWS: list[type] = [PinnedTrip]


async def start_version(
    harness: WorkerHarness, build_id: str, default: VersioningBehavior = VersioningBehavior.UNSPECIFIED
) -> Worker:
    """Starts a worker of a version, and makes the version current."""
    version = WorkerDeploymentVersion(deployment_name=harness.task_queue, build_id=build_id)
    worker = await harness.start_worker(
        deployment_config=WorkerDeploymentConfig(
            version=version, use_worker_versioning=True, default_versioning_behavior=default
        )
    )
    await until_registered(harness.client, version)
    await make_current(harness.client, version)
    return worker


async def start_pinned_trip(harness: WorkerHarness, *do: str) -> Handle:
    """Starts a trip on the current version, and waits for the end of every step."""
    trip_id = f"pinned-{harness.task_queue}"
    harness.workflow_ids.append(trip_id)
    trip = await harness.client.start_workflow(
        PinnedTrip.run, TripPlan(do=(*do, "wait")), id=trip_id, task_queue=harness.task_queue
    )
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=len(do))
    return trip


@pytest.mark.parametrize("default", [VersioningBehavior.UNSPECIFIED, VersioningBehavior.PINNED])
async def test_terminated_pinned_saga_is_rescued_by_another_version(
    harness: WorkerHarness, default: VersioningBehavior
) -> None:
    """A worker with versioning starts without a default behavior; no worker of the old version is left."""
    await harness.stop_workers()
    first = await start_version(harness, "1", default)
    trip = await start_pinned_trip(harness, "hotel")
    assert await version_of(harness.client, trip.id) == (VersioningBehavior.PINNED, "1")
    await trip.terminate("x")
    await start_version(harness, "2", default)
    await harness.stop_workers(first)

    outcome = await rescued(harness, trip.id)

    assert outcome.pending == ("book-hotel",)
    assert uncompensated_bookings(harness, trip.id) == []
    assert await version_of(harness.client, outcome.workflow_id) == (VersioningBehavior.AUTO_UPGRADE, "2")


async def test_rescue_of_an_old_version_is_finished_by_a_newer_version(harness: WorkerHarness) -> None:
    """A rescue may be stuck for longer than the workers of a version run."""
    harness.participants.when("cancel-hotel", rejects("too_late"))
    await harness.stop_workers()
    first = await start_version(harness, "1")
    trip = await start_pinned_trip(harness, "hotel")
    await trip.terminate("x")
    started = await rescue(harness, trip.id)
    harness.workflow_ids.append(started.workflow_id)
    stuck = harness.client.get_workflow_handle(started.workflow_id)
    await harness.wait_for_status(stuck, "stuck")
    assert await version_of(harness.client, stuck.id) == (VersioningBehavior.AUTO_UPGRADE, "1")
    await start_version(harness, "2")
    await harness.stop_workers(first)

    await harness.retry_stuck(stuck)

    ending = await harness.wait_for_ending(stuck)
    assert (ending.closed, ending.saga) == ("COMPLETED", "compensated")
    assert uncompensated_bookings(harness, trip.id) == []
    assert await version_of(harness.client, stuck.id) == (VersioningBehavior.AUTO_UPGRADE, "2")


async def test_pinned_saga_past_the_pivot_continues_on_its_version(harness: WorkerHarness) -> None:
    """A continued saga runs the code of the author, which may be incompatible in another version."""
    await harness.stop_workers()
    await start_version(harness, "1")
    trip = await start_pinned_trip(harness, "hotel", "pay")
    await trip.terminate("x")
    await start_version(harness, "2")

    outcome = await rescue(harness, trip.id)

    assert outcome.decision is RescueDecision.CONTINUING
    continued = harness.client.get_workflow_handle(trip.id, run_id=outcome.run_id)
    await continued.signal("go")
    assert (await harness.wait_for_ending(continued)).closed == "COMPLETED"
    assert await version_of(harness.client, trip.id) == (VersioningBehavior.PINNED, "1")
    assert harness.participants.started == ["book-hotel", "pay"]
