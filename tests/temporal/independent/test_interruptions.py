"""A cancel, a verb or a termination of the parent while an independent saga is open."""

import pytest
from temporalio.api.enums.v1 import EventType

from sagas import Compensated, CutOff
from sagas._client.saga_handle import SagaHandle
from sagas.operator import Rescue, SagaClient, VerbRefusedError

from ..fixtures.trip_saga import TripSaga
from ..fixtures.worker_harness import Ending, WorkerHarness
from ..fixtures.worker_harness import Handle as AnyHandle
from .parcel_saga import Handle, ParcelSaga, parcel, start_parcels

WORKFLOWS = [ParcelSaga, TripSaga]
STARTED = EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED
COMPLETED = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
CANCEL_REQUESTED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED
TASK_COMPLETED = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
BY, BECAUSE = "mia", "the customer has called"


async def parcel_of(harness: WorkerHarness, order: Handle, name: str = "parcel") -> AnyHandle:
    """A handle of an open independent saga, once the first step of that saga is done."""
    await harness.wait_for_event(order, STARTED)
    saga = harness.child_of(order, name)
    await harness.wait_for_event(saga, COMPLETED)
    await harness.wait_for_event(saga, TASK_COMPLETED, nth=2)
    return saga


@pytest.mark.parametrize("by_verb", [False, True], ids=["cancel", "compensate"])
async def test_a_cancel_before_the_pivot_is_passed_on(harness: WorkerHarness, *, by_verb: bool) -> None:
    """The independent saga compensates first, then the parent; a completed one stays."""
    order = await start_parcels(
        harness, "car", (parcel("flight", "wait"), parcel("hotel", "pay", name="b")), "pay"
    )
    saga = await parcel_of(harness, order)
    await harness.wait_for_event(order, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED)
    if by_verb:
        await SagaClient(harness.client).compensate(order.id, by=BY, because=BECAUSE)
    else:
        await order.cancel()

    ending = await harness.wait_for_ending(order)
    assert (ending.closed, ending.saga) == ("FAILED" if by_verb else "CANCELED", "compensated")
    assert await harness.wait_for_ending(saga) == Ending("CANCELED", "compensated")
    assert harness.participants.started[-3:] == ["cancel-flight", "cancel-car", "tell-customer"]
    outcome = await SagaHandle.for_id(harness.client, order.id, ParcelSaga.run).outcome()
    assert isinstance(outcome, Compensated)
    assert [each.address for each in outcome.remaining_effects] == ["tell-customer", "b"]


async def test_an_independent_saga_past_its_pivot_completes_in_spite_of_a_cancel(
    harness: WorkerHarness,
) -> None:
    """The parent waits, compensates, and names the effects that stay."""
    order = await start_parcels(harness, "car", parcel("pay", "wait", "ticket"), "pay")
    saga = await parcel_of(harness, order)
    await order.cancel()
    await harness.wait_for_event(saga, CANCEL_REQUESTED)
    assert "cancel-car" not in harness.participants.started
    await saga.signal("go")

    assert await harness.wait_for_ending(order) == Ending("CANCELED", "compensated")
    assert (await harness.wait_for_ending(saga)).closed == "COMPLETED"
    assert harness.participants.started[-3:] == ["send-ticket", "cancel-car", "tell-customer"]


@pytest.mark.parametrize("is_in_branch", [False, True], ids=["alone", "branch"])
async def test_a_cancel_after_the_pivot_is_not_passed_on(
    harness: WorkerHarness, *, is_in_branch: bool
) -> None:
    """P6: the independent saga and the parent go forward."""
    trip = parcel("flight", "wait", "car")
    order = await start_parcels(harness, "pay", (trip,) if is_in_branch else trip)
    saga = await parcel_of(harness, order)
    await order.cancel()
    await harness.wait_for_event(order, CANCEL_REQUESTED)
    await harness.wait_for_event(order, TASK_COMPLETED, nth=4)
    await saga.signal("go")

    assert (await harness.wait_for_ending(order)).result == ["parcel: completed flight,wait,car"]
    kinds = [event.event_type async for event in saga.fetch_history_events()]
    assert CANCEL_REQUESTED not in kinds


async def test_an_independent_saga_that_starts_after_a_noted_cancel_is_not_cancelled(
    harness: WorkerHarness,
) -> None:
    """A cancel after the pivot changes nothing, also for later sagas."""
    order = await start_parcels(harness, "pay", "wait", parcel("flight", "car"))
    await harness.wait_for_event(order, COMPLETED)
    await order.cancel()
    await harness.wait_for_event(order, CANCEL_REQUESTED)
    await order.signal(ParcelSaga.go)

    assert (await harness.wait_for_ending(order)).result == ["parcel: completed flight,car"]


async def test_a_saga_of_a_handler_is_cancelled_before_the_parent_compensates(harness: WorkerHarness) -> None:
    """Temporal cancels the main task only; the saga passes the cancel on."""
    order = await start_parcels(harness, "car", "wait")
    await harness.wait_for_event(order, COMPLETED)
    await order.signal(ParcelSaga.send, parcel("flight", "wait"))
    saga = await parcel_of(harness, order)
    await order.cancel()

    assert await harness.wait_for_ending(order) == Ending("CANCELED", "compensated")
    assert await harness.wait_for_ending(saga) == Ending("CANCELED", "compensated")
    assert harness.participants.started[2:] == ["cancel-flight", "cancel-car", "tell-customer"]


async def test_a_hold_is_not_passed_on(harness: WorkerHarness) -> None:
    """The independent saga goes on; the parent starts no step until the resume."""
    order = await start_parcels(harness, parcel("flight", "wait", "car"), "hotel")
    saga = await parcel_of(harness, order)
    operator = SagaClient(harness.client)
    await operator.hold(order.id, by=BY, because=BECAUSE)
    await saga.signal("go")

    assert (await harness.wait_for_ending(saga)).closed == "COMPLETED"
    assert "book-hotel" not in harness.participants.started
    signals = [
        event.workflow_execution_signaled_event_attributes.signal_name
        async for event in saga.fetch_history_events()
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
    ]
    assert signals == ["go"]
    await operator.resume(order.id, by=BY, because=BECAUSE)
    assert (await harness.wait_for_ending(order)).closed == "COMPLETED"


async def rescue(harness: WorkerHarness, saga_id: str) -> Rescue:
    """Rescues a saga, and waits for the end of the rescue workflow."""
    rescue = await SagaClient(harness.client).rescue(saga_id, by=BY, because=BECAUSE)
    await harness.client.get_workflow_handle(rescue.workflow_id).result()
    return rescue


async def test_a_rescue_of_the_parent_leaves_an_open_independent_saga_alone(harness: WorkerHarness) -> None:
    """The independent saga goes on to the end, and the rescue names the saga."""
    order = await start_parcels(harness, "car", parcel("flight", "wait", "pay"), "pay")
    saga = await parcel_of(harness, order)
    await order.terminate("out of memory")
    operator = SagaClient(harness.client)
    preview = await operator.preview(order.id)
    assert [each.address for each in preview.compensations] == ["book-car"]
    assert [(each.address, each.outcome.value) for each in preview.remaining_effects] == [
        ("parcel", "started")
    ]

    rescued = await rescue(harness, order.id)

    assert rescued.pending == ("book-car",)
    assert rescued.independent_sagas == (saga.id,)
    assert f"go on by themselves: {saga.id}" in rescued.sentence
    assert harness.participants.started == ["book-car", "book-flight", "cancel-car"]
    await saga.signal("go")
    assert (await harness.wait_for_ending(saga)).result == ["flight", "wait", "pay"]
    outcome = await SagaHandle.for_id(harness.client, order.id, ParcelSaga.run).outcome()
    assert isinstance(outcome, Compensated)
    assert [each.outcome.value for each in outcome.remaining_effects] == ["done"]


async def test_an_independent_saga_of_a_terminated_parent_compensates_by_itself(
    harness: WorkerHarness,
) -> None:
    """A failure after the termination is compensated: the workflow of the saga is still there."""
    order = await start_parcels(harness, "car", parcel("flight", "wait", "fail"), "pay")
    saga = await parcel_of(harness, order)
    await order.terminate("out of memory")
    await saga.signal("go")

    assert await harness.wait_for_ending(saga) == Ending("FAILED", "compensated", "Planned")
    outcome = await SagaHandle.for_id(harness.client, order.id, ParcelSaga.run).outcome()
    assert isinstance(outcome, CutOff)
    assert [each.address for each in outcome.pending_compensations] == ["book-car"]
    assert outcome.remaining_effects == ()
    assert (await rescue(harness, order.id)).independent_sagas == ()


async def test_both_are_terminated_and_rescued_by_their_ids(harness: WorkerHarness) -> None:
    """Each rescue compensates the steps of one saga, under the keys of that saga."""
    order = await start_parcels(harness, "car", parcel("flight", "wait", "pay"), "pay")
    saga = await parcel_of(harness, order)
    await order.terminate("out of memory")
    await saga.terminate("out of memory")

    await rescue(harness, order.id)
    await rescue(harness, saga.id)

    assert harness.participants.keys["cancel-car"] == [f"{order.id}:book-car"]
    assert harness.participants.keys["cancel-flight"] == [f"{saga.id}:book-flight"]
    outcome = await SagaHandle.for_id(harness.client, saga.id, TripSaga.run).outcome()
    assert isinstance(outcome, Compensated)
    assert outcome.code == "terminated"


async def test_a_rescue_past_the_pivot_waits_for_the_open_independent_saga(harness: WorkerHarness) -> None:
    """The server reports the end to the new run of the parent."""
    order = await start_parcels(harness, "pay", parcel("flight", "wait", "car"), "ticket")
    saga = await parcel_of(harness, order)
    await order.terminate("out of memory")
    rescued = await SagaClient(harness.client).rescue(order.id, by=BY, because=BECAUSE)
    assert rescued.independent_sagas == (saga.id,)
    await saga.signal("go")

    again = harness.client.get_workflow_handle(order.id)
    assert (await harness.wait_for_ending(again)).result == ["parcel: completed flight,wait,car"]
    assert harness.participants.started == ["pay", "book-flight", "book-car", "send-ticket"]


async def test_a_rescue_past_the_pivot_starts_an_ended_independent_saga_again(harness: WorkerHarness) -> None:
    """The keys are the same, so that the participants repeat their answers."""
    order = await start_parcels(harness, "pay", parcel("flight", "wait", "car"), "ticket")
    saga = await parcel_of(harness, order)
    await order.terminate("out of memory")
    await saga.signal("go")
    await harness.wait_for_ending(saga)
    await SagaClient(harness.client).rescue(order.id, by=BY, because=BECAUSE)
    again = harness.client.get_workflow_handle(order.id)
    await harness.wait_for_event(again, STARTED)
    await harness.child_of(order, "parcel").signal("go")

    assert (await harness.wait_for_ending(again)).result == ["parcel: completed flight,wait,car"]
    assert harness.participants.keys["book-car"] == [f"{saga.id}:book-car"] * 2
    assert harness.participants.started.count("send-ticket") == 1


async def test_a_rescue_past_the_pivot_starts_no_open_independent_saga_again(harness: WorkerHarness) -> None:
    """The rescue is refused as long as one of several independent sagas is open."""
    order = await start_parcels(harness, "pay", (parcel("flight", "wait"), parcel("car", "wait", name="b")))
    saga, other = await parcel_of(harness, order), harness.child_of(order, "b")
    await harness.wait_for_event(other, COMPLETED)
    await order.terminate("out of memory")
    await saga.signal("go")
    await harness.wait_for_ending(saga)
    operator = SagaClient(harness.client)
    with pytest.raises(VerbRefusedError, match=f"{other.id}' is open"):
        await operator.rescue(order.id, by=BY, because=BECAUSE)
    await other.signal("go")
    await harness.wait_for_ending(other)

    await operator.rescue(order.id, by=BY, because=BECAUSE)
    again = harness.client.get_workflow_handle(order.id)
    await harness.wait_for_event(again, STARTED, nth=2)
    for name in ("parcel", "b"):
        await harness.child_of(order, name).signal("go")
    ending = await harness.wait_for_ending(again)
    assert isinstance(ending.result, list)
    assert sorted(ending.result) == ["b: completed car,wait", "parcel: completed flight,wait"]
