"""Workflows that go on after the saga: the saga stays completed, whether or not the workflow fails."""

import pytest
from temporalio.api.enums.v1 import EventType

from sagas.operator import SagaClient, VerbRefusedError
from tests.waiting import until

from ..fixtures.trip_plan import TripPlan
from ..fixtures.worker_harness import Ending, Handle, WorkerHarness

DONE = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
UPSERT = EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES


async def statuses_written(trip: Handle) -> int:
    """The number of status events."""
    return [event.event_type async for event in trip.fetch_history_events()].count(UPSERT)


async def listed(operator: SagaClient, trip: Handle) -> list[str]:
    """The statuses of a saga in the lists of the operator."""
    wanted = ("running", "completed", "terminated", "failed")
    found = [await operator.list(status=each, query=f"WorkflowId = '{trip.id}'") for each in wanted]
    return [saga.status for sagas in found for saga in sagas]


async def test_a_saga_in_a_running_workflow_is_completed(harness: WorkerHarness) -> None:
    """The status costs one event; the saga is not listed as running, and a cancel changes nothing."""
    operator = SagaClient(harness.client)
    trip = await harness.start_trip("hotel", "wait-after-block")
    await harness.wait_for_status(trip, "completed")

    async def is_listed() -> bool:
        return await listed(operator, trip) == ["completed"]

    await until(is_listed)
    assert (await operator.show(trip.id)).status == "completed"
    preview = await operator.preview(trip.id)
    assert preview.sentence == "nothing would be compensated: the saga has completed"
    await trip.cancel()
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
    await trip.signal("go")
    assert await harness.wait_for_ending(trip) == Ending(
        "COMPLETED", "completed", result=["hotel", "wait-after-block"]
    )
    assert await statuses_written(trip) == 1
    assert harness.participants.started == ["book-hotel"]


@pytest.mark.parametrize("do", [("hotel", "wait-after-block"), ("hotel", "pay", "wait-after-block")])
async def test_a_workflow_terminated_there_is_not_rescued(
    harness: WorkerHarness, do: tuple[str, ...]
) -> None:
    """P6: the effects of a completed saga stay; the saga neither compensates nor goes on."""
    operator = SagaClient(harness.client)
    trip = await harness.start_trip(*do)
    await harness.wait_for_status(trip, "completed")
    await trip.terminate("by mistake")

    with pytest.raises(VerbRefusedError, match="the saga has completed: its effects are final"):
        await operator.rescue(trip.id, by="mia", because="to be sure")

    story = await operator.show(trip.id)
    assert (story.status, story.close_status) == ("completed", "terminated")
    assert not [each for step in story.steps for each in step.compensations]

    async def is_listed() -> bool:
        return await listed(operator, trip) == ["completed"]

    await until(is_listed)
    assert [name for name in harness.participants.started if name.startswith("cancel")] == []


async def test_a_failure_there_is_not_rescued(harness: WorkerHarness) -> None:
    """The history records first the end of the saga, and then the failure of the workflow."""
    operator = SagaClient(harness.client)
    trip = await harness.start_trip("hotel", "fail-after-block")
    assert await harness.wait_for_ending(trip) == Ending("FAILED", "completed", "Planned")

    with pytest.raises(VerbRefusedError, match="the saga has completed"):
        await operator.rescue(trip.id, by="mia", because="to be sure")

    assert (await operator.show(trip.id)).status == "completed"
    assert harness.participants.started == ["book-hotel"]


@pytest.mark.parametrize("do", [("hotel",), ("hotel", "wait", "wait-after-block")])
async def test_a_return_at_once_writes_no_status(harness: WorkerHarness, do: tuple[str, ...]) -> None:
    """A wait for an already true condition, for example the end of all handlers, writes no status either."""
    trip = await harness.start_trip(*do)
    await harness.wait_for_event(trip, DONE)
    if "wait" in do:
        await trip.signal("go")

    assert await harness.wait_for_ending(trip) == Ending("COMPLETED", None, result=list(do))
    assert await statuses_written(trip) == 0


async def test_a_child_that_goes_on_is_compensated_by_its_parent(harness: WorkerHarness) -> None:
    """The result of the child carries the pending compensations, also after the status completed."""
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "wait-after-block")), "fail")
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await harness.wait_for_status(child, "completed")
    await child.signal("go")

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started[2:] == ["cancel-flight", "cancel-hotel"]


async def test_a_child_terminated_there_can_be_rescued(harness: WorkerHarness) -> None:
    """P7: a child is final only when the root is completed; the child is listed and can be rescued."""
    operator = SagaClient(harness.client)
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "wait-after-block")))
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await harness.wait_for_status(child, "completed")
    await child.terminate("by mistake")
    await harness.wait_for_status(trip, "stuck")

    async def is_listed() -> bool:
        return await listed(operator, child) == ["terminated"]

    await until(is_listed)
    rescue = await operator.rescue(child.id, by="mia", because="it was a mistake")
    assert rescue.pending == ("book-flight",)
    await harness.wait_for_ending(harness.client.get_workflow_handle(rescue.workflow_id))
    await operator.complete(trip.id, "leg", by="mia", because="it was rescued")
    assert (await harness.wait_for_ending(trip)).saga == "settled"
    assert harness.participants.started[2:] == ["cancel-hotel", "cancel-flight"]
