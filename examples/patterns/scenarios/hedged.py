"""The scenarios of the hedged request."""

from temporalio.client import Client

from examples.patterns.hedged import HedgedPurchaseSaga, Purchase, charge, far, near
from sagas import Completed
from sagas.testing import SagaRun, blocks, open_saga, run_saga

PURCHASE = Purchase(id="7")


async def near_warehouse_is_fast(client: Client) -> SagaRun:
    """The near warehouse answers in time: the far warehouse gets no request."""
    run = await run_saga(HedgedPurchaseSaga.run, PURCHASE, client=client)
    run.assert_outcome(Completed)
    run.assert_trace("reserve-near", "charge-card")
    return run


async def slow_warehouse_wins(client: Client) -> SagaRun:
    """Both are slow, and the near warehouse answers first: the far reservation is released."""
    steps = {near: blocks(), far: blocks()}
    async with open_saga(HedgedPurchaseSaga.run, PURCHASE, client=client, steps=steps) as saga:
        await saga.until_called(far)
        saga.release(near)
        await saga.until_called(charge)
        saga.release(far)
        run = await saga.finish()
    run.assert_outcome(Completed)
    run.assert_trace("reserve-near", "reserve-far", "charge-card", "compensate reserve-far")
    run.assert_remaining_effects("reserve-near", "charge-card")
    return run
