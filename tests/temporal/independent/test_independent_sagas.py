"""An independent saga is a transaction of its own, and its outcome is a value for the parent."""

import pytest
from temporalio.api.enums.v1 import EventType, ParentClosePolicy

from sagas import Compensated, Completed
from sagas._client.saga_handle import SagaHandle
from sagas.operator import SagaClient, render_timeline

from ..fixtures.trip_participants import rejects
from ..fixtures.trip_saga import TripSaga
from ..fixtures.worker_harness import Ending, WorkerHarness
from .parcel_saga import ParcelSaga, parcel, start_parcels

WORKFLOWS = [ParcelSaga, TripSaga]
STARTED = EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED
COMPLETED = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED


async def test_the_parcels_that_can_be_sent_are_sent(harness: WorkerHarness) -> None:
    """One refused parcel fails neither the others nor the order, which goes on to the pivot."""
    refused = parcel("hotel", "fail", "pay", name="north")
    sent = parcel("flight", "pay", "look", name="south")
    order = await start_parcels(harness, "car", (refused, sent), "pay")

    ending = await harness.wait_for_ending(order)

    assert (ending.closed, ending.code) == ("COMPLETED", "")
    assert isinstance(ending.result, list)
    assert sorted(ending.result) == ["north: compensated Planned", "south: completed flight,pay,look"]
    assert harness.participants.keys["cancel-hotel"] == [f"{order.id}/north:book-hotel"]
    assert "cancel-flight" not in harness.participants.started
    assert "cancel-car" not in harness.participants.started


async def test_a_completed_independent_saga_stays_when_the_parent_compensates(harness: WorkerHarness) -> None:
    """The outcome and the preview of the parent name the effects that stay, and no ledger has the saga."""
    order = await start_parcels(harness, "car", parcel("flight", "pay"), parcel("hotel", "fail"), "fail")

    assert await harness.wait_for_ending(order) == Ending("FAILED", "compensated", "Planned")

    assert harness.participants.started[-2:] == ["cancel-car", "tell-customer"]
    outcome = await SagaHandle.for_id(harness.client, order.id, ParcelSaga.run).outcome()
    assert isinstance(outcome, Compensated)
    effects = {effect.address: effect for effect in outcome.remaining_effects}
    assert effects["parcel"].reason == f"independent saga {order.id}/parcel"
    assert "parcel#2" not in effects
    operator = SagaClient(harness.client)
    preview = await operator.preview(order.id)
    assert preview.remaining_effects == outcome.remaining_effects
    assert not preview.unresolved_children
    shown = await operator.show(order.id)
    assert [(line.address, line.purpose, line.outcome.value) for line in shown.steps[:3]] == [
        ("book-car", "step", "done"),
        ("parcel", "independent", "done"),
        ("parcel#2", "independent", "rejected"),
    ]


async def test_an_independent_saga_is_a_root(harness: WorkerHarness) -> None:
    """The result is plain, the outcome is read by the own id, and the parent does not end with the saga."""
    order = await start_parcels(harness, parcel("flight", "tell", "pay"))
    assert (await harness.wait_for_ending(order)).result == ["parcel: completed flight,tell,pay"]

    handle = harness.child_of(order, "parcel")
    assert await handle.result() == ["flight", "tell", "pay"]
    outcome = await SagaHandle.for_id(harness.client, handle.id, TripSaga.run).outcome()
    assert outcome == Completed(["flight", "tell", "pay"])
    shown = await SagaClient(harness.client).show(handle.id)
    assert (shown.status, shown.independent_of) == ("completed", order.id)
    initiated = await harness.wait_for_event(
        order, EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED
    )
    policy = initiated.start_child_workflow_execution_initiated_event_attributes.parent_close_policy
    assert policy == ParentClosePolicy.PARENT_CLOSE_POLICY_ABANDON


async def test_steps_after_compensation_run_in_the_independent_saga(harness: WorkerHarness) -> None:
    """A child of a saga leaves the notice to the root."""
    order = await start_parcels(harness, parcel("tell", "flight", "fail"), "pay")
    assert (await harness.wait_for_ending(order)).result == ["parcel: compensated Planned"]

    assert harness.participants.started == ["book-flight", "cancel-flight", "tell-customer", "pay"]


async def test_independent_sagas_after_the_pivot(harness: WorkerHarness) -> None:
    """A failed one is a value there, too."""
    order = await start_parcels(harness, "pay", (parcel("flight", "fail"), parcel("car", name="other")))
    ending = await harness.wait_for_ending(order)

    assert isinstance(ending.result, list)
    assert sorted(ending.result) == ["other: completed car", "parcel: compensated Planned"]


@pytest.mark.parametrize("harness", [0], indirect=True, ids=["evicted"])
async def test_a_person_settles_an_independent_saga(harness: WorkerHarness) -> None:
    """The parent waits meanwhile, and `show` of the parent names the stuck saga."""
    harness.participants.when("cancel-flight", rejects())
    order = await start_parcels(harness, parcel("flight", "fail"), "pay")
    await harness.wait_for_event(order, STARTED)
    saga = harness.child_of(order, "parcel")
    await harness.wait_for_status(saga, "stuck")

    operator = SagaClient(harness.client)
    shown = await operator.show(order.id)
    assert shown.status == "running"
    assert shown.steps[0].child is not None
    assert shown.steps[0].child.status == "stuck"
    assert f"{order.id}/parcel is stuck" in render_timeline(shown)
    await operator.skip(saga.id, "book-flight", by="mia", because="the ticket was torn up")

    assert (await harness.wait_for_ending(order)).result == [
        "parcel: settled Planned {'book-flight': 'skipped'}"
    ]


async def test_a_used_id_is_refused_before_anything_happens(harness: WorkerHarness) -> None:
    """The refusal is an error, as no saga was started."""
    order_id = f"order-{harness.task_queue}"
    harness.workflow_ids.append(f"{order_id}/parcel")
    other = await harness.client.start_workflow(
        TripSaga.run, parcel("wait"), id=f"{order_id}/parcel", task_queue=harness.task_queue
    )
    order = await start_parcels(harness, parcel("flight"), saga_id=order_id)

    assert (await harness.wait_for_ending(order)).result == ["duplicate_child"]
    assert harness.participants.started == []
    assert not (await SagaClient(harness.client).preview(order.id)).remaining_effects
    await other.signal("go")


async def test_a_terminated_independent_saga_is_cut_off(harness: WorkerHarness) -> None:
    """The parent goes on; only a rescue of the saga compensates the steps of the saga."""
    order = await start_parcels(harness, parcel("flight", "wait"), "fail")
    await harness.wait_for_event(order, STARTED)
    saga = harness.child_of(order, "parcel")
    await harness.wait_for_event(saga, COMPLETED)
    await saga.terminate("somebody did")
    assert (await harness.wait_for_ending(order)).saga == "compensated"
    assert harness.participants.started == ["book-flight", "tell-customer"]

    operator = SagaClient(harness.client)
    effects = {each.address: each for each in (await operator.preview(order.id)).remaining_effects}
    assert effects["parcel"].outcome == "unknown"
    assert "rescue" in effects["parcel"].reason
    rescue = await operator.rescue(saga.id, by="mia", because="it was terminated")
    await harness.client.get_workflow_handle(rescue.workflow_id).result()
    assert harness.participants.keys["cancel-flight"] == [f"{saga.id}:book-flight"]
    addresses = [each.address for each in (await operator.preview(order.id)).remaining_effects]
    assert "parcel" not in addresses


async def test_a_section_contains_no_independent_saga(harness: WorkerHarness) -> None:
    """A section could not compensate the independent saga."""
    order = await start_parcels(harness, "in-section")

    assert (await harness.wait_for_ending(order)).code == "DefinitionError"
    assert harness.participants.started == ["tell-customer"]


async def test_a_saga_continues_as_new_with_the_effects_of_independent_sagas(harness: WorkerHarness) -> None:
    """A saga in a handler is awaited before, and names are counted over all runs."""
    order = await start_parcels(harness, parcel("flight", "pay"), "wait", "again", parcel("hotel"), "fail")
    await harness.wait_for_event(order, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED)
    await order.signal(ParcelSaga.send, parcel("car", "wait", name="late"))
    await harness.wait_for_event(order, STARTED, nth=2)
    await order.signal(ParcelSaga.go)
    await harness.child_of(order, "late").signal("go")

    assert (await harness.wait_for_ending(order)).saga == "compensated"
    outcome = await SagaHandle.for_id(harness.client, order.id, ParcelSaga.run).outcome()
    assert isinstance(outcome, Compensated)
    addresses = [each.address for each in outcome.remaining_effects]
    assert addresses == ["tell-customer", "parcel", "late", "parcel#2"]
