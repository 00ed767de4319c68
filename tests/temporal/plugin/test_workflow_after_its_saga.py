"""A workflow that goes on after its saga has ended: it has completed, whatever becomes of the workflow."""

import pytest
from temporalio.api.enums.v1 import EventType

from sagas.operator import SagaClient, VerbRefusedError
from tests.waiting import until

from ..fixtures.trip_plan import TripPlan
from ..fixtures.worker_harness import Ending, Handle, WorkerHarness

DONE = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
UPSERT = EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES


async def statuses_written(trip: Handle) -> int:
    """How many events the status of a saga has cost."""
    return [event.event_type async for event in trip.fetch_history_events()].count(UPSERT)


async def listed(operator: SagaClient, trip: Handle) -> list[str]:
    """The statuses under which a saga is found."""
    wanted = ("running", "completed", "terminated", "failed")
    found = [await operator.list(status=each, query=f"WorkflowId = '{trip.id}'") for each in wanted]
    return [saga.status for sagas in found for saga in sagas]


async def test_one_that_goes_on_says_that_it_has_completed(harness: WorkerHarness) -> None:
    """For one event; nobody lists it as running, and a cancel changes nothing."""
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
async def test_one_that_was_terminated_there_is_not_rescued(
    harness: WorkerHarness, do: tuple[str, ...]
) -> None:
    """P6: what it did is meant to stay; it neither compensates nor goes on."""
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


async def test_one_that_fails_there_is_not_rescued(harness: WorkerHarness) -> None:
    """At once: its history says that the saga had ended, and then that the workflow failed."""
    operator = SagaClient(harness.client)
    trip = await harness.start_trip("hotel", "fail-after-block")
    assert await harness.wait_for_ending(trip) == Ending("FAILED", "completed", "Planned")

    with pytest.raises(VerbRefusedError, match="the saga has completed"):
        await operator.rescue(trip.id, by="mia", because="to be sure")

    assert (await operator.show(trip.id)).status == "completed"
    assert harness.participants.started == ["book-hotel"]


@pytest.mark.parametrize("do", [("hotel",), ("hotel", "wait", "wait-after-block")])
async def test_one_that_returns_at_once_writes_nothing(harness: WorkerHarness, do: tuple[str, ...]) -> None:
    """Nor does one that waits for what is so already, such as the end of all handlers."""
    trip = await harness.start_trip(*do)
    await harness.wait_for_event(trip, DONE)
    if "wait" in do:
        await trip.signal("go")

    assert await harness.wait_for_ending(trip) == Ending("COMPLETED", None, result=list(do))
    assert await statuses_written(trip) == 0


async def test_a_child_that_goes_on_is_compensated_by_its_parent(harness: WorkerHarness) -> None:
    """What it owes comes with its result, also where it has said before that it completed."""
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "wait-after-block")), "fail")
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await harness.wait_for_status(child, "completed")
    await child.signal("go")

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started[2:] == ["cancel-flight", "cancel-hotel"]


async def test_a_child_that_was_terminated_there_is_still_owed(harness: WorkerHarness) -> None:
    """P7: it has completed only once its root has; so it is listed, and can be rescued."""
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
