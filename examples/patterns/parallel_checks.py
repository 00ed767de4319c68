"""Parallel checks: credit, fraud and stock are checked at the same time, before the payment."""

from pydantic import BaseModel
from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from examples.patterns.operations import Receipt, operation, step
    from sagas import OnFailure, Saga, action


class Order(BaseModel):
    """An order to pay."""

    id: str


credit = action(operation("check-credit", Order)).read_only()
fraud = action(operation("check-fraud", Order)).read_only()
stock = step("reserve-stock", "release-stock", Order)
pay = action(operation("take-payment", Order))


@workflow.defn
class CheckedOrderSaga:
    """Takes the payment when every check has passed."""

    @workflow.run
    async def run(self, order: Order) -> Receipt:
        """Checks the order, and takes the payment."""
        async with Saga() as saga:
            await saga.parallel(
                saga.step(credit, order),
                saga.step(fraud, order),
                saga.step(stock, order),
                on_failure=OnFailure.CANCEL,
            )
            return await saga.pivot(pay, order)
