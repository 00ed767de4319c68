"""Amended approval: a person disapproves, the author amends the request, and another decision follows."""

from datetime import timedelta

from pydantic import BaseModel
from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from examples.patterns.operations import Receipt, operation, step
    from sagas import RejectedError, Saga, action


class Purchase(BaseModel):
    """A purchase to approve."""

    id: str
    amount: int


reserve = step("reserve-budget", "release-budget", Purchase)
order = action(operation("order-goods", Purchase))


@workflow.defn
class ApprovedPurchaseSaga:
    """Orders goods after the approval of a manager; a refused purchase may be amended."""

    @workflow.run
    async def run(self, purchase: Purchase) -> Receipt:
        """Asks until the purchase is approved, or no amendment comes within a week."""
        async with Saga() as saga:
            amended = saga.expect("purchase-amended", Purchase)
            while True:
                async with saga.section("budget") as budget:
                    await saga.step(reserve, purchase)
                try:
                    await saga.approval("purchase", role="manager", timeout=timedelta(days=2))
                except RejectedError:
                    purchase = await saga.wait_for(amended, timeout=timedelta(days=7))
                    await budget.compensate()
                else:
                    return await saga.pivot(order, purchase)
