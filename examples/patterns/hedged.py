"""Hedged request: a slow warehouse gets company, the first answer wins, and the other is compensated."""

from datetime import timedelta

from pydantic import BaseModel
from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from examples.patterns.operations import Receipt, operation, step
    from sagas import Saga, action


class Purchase(BaseModel):
    """The purchase of an article."""

    id: str


near = step("reserve-near", "release-near", Purchase)
far = step("reserve-far", "release-far", Purchase)
charge = action(operation("charge-card", Purchase))


@workflow.defn
class HedgedPurchaseSaga:
    """Reserves an article in the warehouse that answers first."""

    @workflow.run
    async def run(self, purchase: Purchase) -> Receipt:
        """Reserves and pays the article."""
        async with Saga() as saga:
            reservation = await saga.first_of(
                saga.step(near, purchase),
                saga.step(far, purchase),
                after=timedelta(seconds=1),
                hedged=True,
            )
            await saga.pivot(charge, purchase)
            return reservation
