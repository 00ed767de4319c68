"""The options of `start_saga` reach the server."""

from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio.client import WorkflowExecutionDescription
from temporalio.common import (
    AutoUpgradeVersioningOverride,
    Priority,
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
)

from sagas import start_saga
from sagas._client.saga_handle import SagaHandle
from sagas._client.start import execute_saga
from sagas._client.start_options import StartOptions
from sagas._core.saga_outcome import Completed

from ..fixtures.trip_plan import TripPlan
from ..fixtures.trip_saga import TripSaga
from ..fixtures.worker_harness import WorkerHarness

pytestmark = pytest.mark.parametrize("harness", [1000], indirect=True, ids=["cached"])
CUSTOMER = SearchAttributeKey.for_keyword("Customer")
PRIORITY = Priority(priority_key=2, fairness_key="acme", fairness_weight=1.5)


async def start(harness: WorkerHarness, **options: object) -> SagaHandle[list[str]]:
    """Starts a trip with options."""
    trip_id = f"trip-{uuid4().hex[:8]}"
    harness.workflow_ids.append(trip_id)
    plan, chosen = TripPlan(do=("hotel", "again", "wait")), StartOptions(**options)  # type: ignore[typeddict-item]
    return await start_saga(
        harness.client, TripSaga.run, plan, id=trip_id, task_queue=harness.task_queue, **chosen
    )


async def described(harness: WorkerHarness, trip: SagaHandle[list[str]]) -> WorkflowExecutionDescription:
    """The description of a trip after continue-as-new, once the trip has completed."""
    later = await harness.wait_for_next_run(trip)
    await later.signal("go")
    assert await trip.outcome() == Completed(["hotel", "again", "wait"])
    return await later.describe()


async def test_memo_and_search_attributes_stay_with_the_saga(harness: WorkerHarness) -> None:
    """Also after continue-as-new, where the saga adds a memo key."""
    attributes = TypedSearchAttributes([SearchAttributePair(CUSTOMER, "ada")])

    trip = await start(harness, memo={"basket": ["a", "b"]}, search_attributes=attributes)

    description = await described(harness, trip)
    assert await description.memo_value("basket") == ["a", "b"]
    assert description.typed_search_attributes.get(CUSTOMER) == "ada"


async def test_summary_and_details_are_shown_with_the_workflow(harness: WorkerHarness) -> None:
    """Temporal shows both in lists and on the page of the workflow."""
    trip = await start(harness, static_summary="a trip of **Ada**", static_details="to Rome")

    await described(harness, trip)
    # Temporal keeps the options with the started run.
    first = harness.client.get_workflow_handle(trip.id, run_id=trip.first_execution_run_id)
    description = await first.describe()
    assert await description.static_summary() == "a trip of **Ada**"
    assert await description.static_details() == "to Rome"


async def test_priority_applies_to_the_workflow(harness: WorkerHarness) -> None:
    """The priority includes the fairness key."""
    trip = await start(harness, priority=PRIORITY)

    description = await described(harness, trip)
    priority = description.raw_info.priority
    assert (priority.priority_key, priority.fairness_key, priority.fairness_weight) == (2, "acme", 1.5)


async def test_saga_begins_after_the_start_delay(harness: WorkerHarness) -> None:
    """A second start finds the waiting saga."""
    delay = timedelta(milliseconds=300)
    trip = await start(harness, start_delay=delay)
    plan = TripPlan(do=("hotel", "again", "wait"))

    again = await start_saga(harness.client, TripSaga.run, plan, id=trip.id, task_queue=harness.task_queue)

    assert again.first_execution_run_id == trip.first_execution_run_id
    first = await anext(trip.fetch_history_events(page_size=1))
    started = first.workflow_execution_started_event_attributes
    assert started.first_workflow_task_backoff.ToTimedelta() == delay
    await described(harness, trip)


async def test_versioning_override_applies_to_the_workflow(harness: WorkerHarness) -> None:
    """The server chooses the worker deployment version by the override."""
    trip = await start(harness, versioning_override=AutoUpgradeVersioningOverride())

    first = await anext(trip.fetch_history_events(page_size=1))
    assert first.workflow_execution_started_event_attributes.versioning_override.auto_upgrade
    await described(harness, trip)


async def test_options_may_be_none(harness: WorkerHarness) -> None:
    """None means the same as in `start_workflow`."""
    outcome = await execute_saga(
        harness.client,
        TripSaga.run,
        TripPlan(do=("hotel",)),
        id=f"none-{harness.task_queue}",
        task_queue=harness.task_queue,
        static_summary=None,
        static_details=None,
        memo=None,
        search_attributes=None,
        start_delay=None,
        versioning_override=None,
    )

    assert outcome == Completed(["hotel"])
