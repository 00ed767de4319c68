"""Operators see a saga with failing code, and can end and compensate a saga whose code cannot be mended."""

from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio.api.enums.v1 import EventType

from sagas.operator import (
    RescueDecision,
    SagaClient,
    VerbRefusedError,
    render_list,
    render_timeline,
)
from tests.waiting import until

from ..fixtures.buggy_workflows import BUGGY, Trouble
from ..fixtures.trip_plan import TripPlan
from ..fixtures.trip_saga import TripSaga
from ..fixtures.worker_harness import Ending, Handle, WorkerHarness

pytestmark = pytest.mark.parametrize("harness", [1000], indirect=True, ids=["cached"])
WORKFLOWS = [*BUGGY, TripSaga]
TASK_FAILED = EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
CHILD_STARTED = EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED


async def begin(harness: WorkerHarness, trouble: Trouble) -> tuple[Handle, Handle]:
    """A saga with a bug, and the saga or child whose workflow task has failed."""
    saga = await harness.client.start_workflow(
        "BuggySaga",
        trouble,
        id=f"buggy-{uuid4().hex[:8]}",
        task_queue=harness.task_queue,
        task_timeout=timedelta(seconds=1),
    )
    failing: Handle = saga
    if trouble.place == "in a child":
        await harness.wait_for_event(saga, CHILD_STARTED)
        failing = harness.child_of(saga, "leg")
    await harness.wait_for_event(failing, TASK_FAILED)
    return saga, failing


@pytest.fixture
def operator(harness: WorkerHarness) -> SagaClient:
    """The client of an operator."""
    return SagaClient(harness.client)


async def test_timeline_of_a_saga_with_a_bug_says_failing_code(
    harness: WorkerHarness, operator: SagaClient
) -> None:
    """P8: the status, the error with every cause, and what to do."""
    saga, _ = await begin(harness, Trouble(bug="chain"))

    timeline = await operator.show(saga.id)

    assert timeline.status == "failing-code"
    assert timeline.task_failure is not None
    assert timeline.task_failure.reason == "ValueError: the order is unreadable"
    assert timeline.task_failure.causes == ("LookupError: no price", "KeyError: 'sku'")
    text = render_timeline(timeline, width=200)
    assert text.startswith(f"{saga.id}  BuggySaga  FAILING-CODE\n")
    assert (
        ": ValueError: the order is unreadable\n  caused by LookupError: no price\n  caused by KeyError"
        in text
    )
    assert "\nmend the code, and restart the workers; or end and compensate the saga: " in text
    assert f"`sagas rescue {saga.id} --terminate`\n" in text
    await saga.terminate()


@pytest.mark.parametrize("place", ["in the block", "in a child"])
async def test_saga_with_failing_code_is_listed_first(
    harness: WorkerHarness, operator: SagaClient, place: str
) -> None:
    """P8: the server reports the failing workflow task in a search attribute of its own."""
    saga, failing = await begin(harness, Trouble(place=place))
    other = await harness.start_trip("wait")
    query = f"TaskQueue = '{harness.task_queue}'"

    async def listed() -> list[tuple[str, str]]:
        return [(each.id, each.status) for each in await operator.list(query=query)]

    async def is_listed() -> bool:
        return (failing.id, "failing-code") in await listed() and (other.id, "running") in await listed()

    await until(is_listed)
    found = await listed()
    assert found[0] == (failing.id, "failing-code")
    assert len(found) == len({*found}) == (2 if place == "in the block" else 3)
    only = await operator.list(query=query, status="failing-code")
    assert [each.id for each in only] == [failing.id]
    assert "FAILING-CODE" in render_list(only)
    await saga.terminate()
    await other.signal("go")


async def test_open_saga_is_rescued_only_with_the_option(
    harness: WorkerHarness, operator: SagaClient
) -> None:
    """The refusal names the option, and the option terminates and compensates the saga."""
    saga, _ = await begin(harness, Trouble())

    with pytest.raises(
        VerbRefusedError, match=r"code fails \(KeyError: 'sku'\).* `sagas rescue --terminate`"
    ):
        await operator.rescue(saga.id, by="mia", because="no one can mend the code")
    rescue = await operator.rescue(saga.id, by="mia", because="no one can mend the code", terminate=True)

    assert rescue.decision is RescueDecision.COMPENSATING
    assert rescue.pending == ("book-hotel",)
    ended = await harness.wait_for_ending(harness.client.get_workflow_handle(rescue.workflow_id))
    assert ended.closed == "COMPLETED"
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]
    timeline = await operator.show(saga.id)
    assert timeline.reason == "sagas rescue --terminate by mia: no one can mend the code"
    assert timeline.status == "terminated"
    assert [(each.verb, each.by) for each in timeline.rescues[0].audit_trail] == [("rescue", "mia")]
    again = await operator.rescue(saga.id, by="mia", because="again", terminate=True)
    assert not again.is_new


async def test_children_with_failing_code_are_terminated_too(
    harness: WorkerHarness, operator: SagaClient
) -> None:
    """The rescue compensates the steps of the child, and then the steps of the parent."""
    saga, child = await begin(harness, Trouble(place="in a child"))

    rescue = await operator.rescue(saga.id, by="mia", because="hopeless", terminate=True)

    await harness.wait_for_ending(harness.client.get_workflow_handle(rescue.workflow_id))
    assert harness.participants.started == ["book-hotel", "book-flight", "cancel-flight", "cancel-hotel"]
    assert (await operator.show(child.id)).status == "terminated"


async def test_saga_past_the_pivot_is_not_terminated(harness: WorkerHarness, operator: SagaClient) -> None:
    """P6: nothing crosses the pivot backwards."""
    trip = await harness.start_trip("hotel", "pay", "fail")
    await harness.wait_for_event(trip, TASK_FAILED)

    with pytest.raises(VerbRefusedError, match="pivot is done or in doubt"):
        await operator.rescue(trip.id, by="mia", because="hopeless", terminate=True)

    timeline = await operator.show(trip.id)
    assert timeline.status == "failing-code"
    assert "--terminate" not in render_timeline(timeline)
    await trip.terminate()
    harness.workflow_ids.remove(trip.id)  # the workflow code fails in a replay as well


async def test_running_saga_is_terminated_on_request(harness: WorkerHarness, operator: SagaClient) -> None:
    """A healthy child compensates; the refusal without the option names `compensate` first."""
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "wait")))
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(trip, CHILD_STARTED)
    await harness.wait_for_event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)

    with pytest.raises(VerbRefusedError, match=r"still running: .*`sagas compensate`.*--terminate"):
        await operator.rescue(trip.id, by="mia", because="x")
    rescue = await operator.rescue(trip.id, by="mia", because="x", terminate=True)

    assert rescue.pending == ("book-hotel",)
    await harness.wait_for_ending(harness.client.get_workflow_handle(rescue.workflow_id))
    assert await harness.wait_for_ending(child) == Ending("CANCELED", "compensated")
    assert harness.participants.started[-2:] == ["cancel-flight", "cancel-hotel"]
