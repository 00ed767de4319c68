"""A saga that is open: waits for a status, operators' verbs, previews and blocked steps."""

import pytest
from temporalio.client import Client, WorkflowExecutionStatus

from sagas import Compensated, Completed, CutOff, Settled
from sagas.testing import (
    RunOptions,
    SagaTestError,
    blocks,
    compensation_of,
    fails,
    open_saga,
    rejects,
)

from .shop import Order, OrderSaga, charge, reserve, ship

BY = "mia"
WHY = "the customer has called"
STUCK = {charge: rejects("card_declined"), compensation_of(reserve): fails(non_retryable=True)}


async def test_operator_skips_a_stuck_compensation(saga_client: Client) -> None:
    """The effect stays, and the trace and the outcome tell of the effect."""
    async with open_saga(OrderSaga.run, Order(), client=saga_client, steps=STUCK) as saga:
        await saga.until("stuck")
        await saga.operator.skip(saga.id, "reserve-stock", by=BY, because=WHY)
        run = await saga.finish()

    run.assert_outcome(Settled, is_compensated=True, manual_resolutions={"reserve-stock": "skipped"})
    run.assert_trace("reserve-stock", "charge-card rejected", "compensate reserve-stock skipped")
    run.assert_remaining_effects("reserve-stock")


async def test_operator_retries_a_stuck_compensation(saga_client: Client) -> None:
    """The second call of the compensation has no script, and is done."""
    steps = {**STUCK, compensation_of(reserve): [fails(non_retryable=True)]}
    async with open_saga(OrderSaga.run, Order(), client=saga_client, steps=steps) as saga:
        await saga.until("stuck")
        await saga.operator.retry(saga.id, by=BY, because=WHY)
        run = await saga.finish()

    run.assert_outcome(Compensated, code="card_declined")
    run.assert_remaining_effects()


async def test_preview_names_the_compensations_in_order(saga_client: Client) -> None:
    """The pivot is blocked, and both steps before it would be compensated."""
    steps = {charge: blocks()}
    async with open_saga(OrderSaga.run, Order(parcels=1), client=saga_client, steps=steps) as saga:
        await saga.until_called(charge)
        await saga.assert_preview("charge-card", "pack-parcel", "reserve-stock")
        assert saga.effects == {"reserve-stock": "applied", "pack-parcel": "applied"}
        with pytest.raises(SagaTestError, match="the preview has the compensations"):
            await saga.assert_preview("reserve-stock")
        saga.release(charge)
        run = await saga.finish()

    run.assert_outcome(Completed)


async def test_test_decides_by_the_client_of_operators(saga_client: Client) -> None:
    """Without the skipping of time, the wait for the approval does not run out."""
    options = RunOptions(skips_time=False)
    order = Order(needs_approval=True)
    async with open_saga(OrderSaga.run, order, client=saga_client, options=options) as saga:
        await saga.until_waiting("large-order")
        await saga.operator.approve(saga.id, "large-order", roles=frozenset({"manager"}), by=BY, because=WHY)
        run = await saga.finish()

    run.assert_outcome(Completed)


async def test_terminated_saga_has_pending_compensations(saga_client: Client) -> None:
    """The handle is the handle of Temporal."""
    async with open_saga(OrderSaga.run, Order(), client=saga_client, steps={charge: blocks()}) as saga:
        await saga.until_called(charge)
        await saga.operator.hold(saga.id, by=BY, because=WHY)
        await saga.until("held")
        await saga.handle.terminate("by mistake")
        run = await saga.finish()

    outcome = run.assert_outcome(CutOff, how="terminated")
    assert [each.address for each in outcome.pending_compensations] == ["charge-card", "reserve-stock"]


async def test_open_saga_is_terminated_at_the_end_of_the_block(saga_client: Client) -> None:
    """A test leaves no open workflow on the server."""
    async with open_saga(OrderSaga.run, Order(), client=saga_client, steps={ship: blocks()}) as saga:
        await saga.until_called(ship)

    description = await saga.handle.describe()
    assert description.status is WorkflowExecutionStatus.TERMINATED


async def test_test_waits_for_a_call_of_a_step_without_a_script(saga_client: Client) -> None:
    """Every name of the step stands for the step."""
    async with open_saga(OrderSaga.run, Order(parcels=2), client=saga_client) as saga:
        await saga.until_called(reserve)
        await saga.until_called("pack-parcel#2")
        run = await saga.finish()

    run.assert_outcome(Completed)


async def test_shared_options_start_a_new_saga_for_each_run(saga_client: Client) -> None:
    """Every run without an id in the options is another saga."""
    options = RunOptions(skips_time=False)

    first = await run_saga(OrderSaga.run, Order(), client=saga_client, options=options)
    second = await run_saga(OrderSaga.run, Order(), client=saga_client, options=options)

    assert first.id != second.id
    assert first.trace == second.trace != []
