"""The scenarios of the amended approval."""

from datetime import timedelta

from temporalio.client import Client

from examples.patterns.amended_approval import ApprovedPurchaseSaga, Purchase
from sagas import Compensated, Completed
from sagas.testing import SagaRun, approves, disapproves, run_saga, sends

PURCHASE = Purchase(id="7", amount=9_000)
DISAPPROVED = disapproves("purchase", role="manager", by="mia")


async def amended_purchase_is_approved(client: Client) -> SagaRun:
    """The manager disapproves, and the author asks for less: the old reservation is released."""
    smaller = PURCHASE.model_copy(update={"amount": 900})
    approved = approves("purchase", role="manager", by="mia", delay=timedelta(hours=20))
    inputs = [DISAPPROVED, sends("purchase-amended", smaller), approved]
    run = await run_saga(ApprovedPurchaseSaga.run, PURCHASE, client=client, inputs=inputs)
    run.assert_outcome(Completed)
    run.assert_trace("reserve-budget", "compensate reserve-budget", "reserve-budget#2", "order-goods")
    run.assert_remaining_effects("reserve-budget#2", "order-goods")
    return run


async def no_amendment_comes(client: Client) -> SagaRun:
    """No amendment comes within a week, which the server skips: the budget is released."""
    run = await run_saga(ApprovedPurchaseSaga.run, PURCHASE, client=client, inputs=[DISAPPROVED])
    run.assert_outcome(Compensated, code="deadline_exceeded")
    run.assert_trace("reserve-budget", "compensate reserve-budget")
    return run
