"""Grace period: two weeks in which the customer may withdraw, before the point of no return."""

from datetime import timedelta

from pydantic import BaseModel
from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from examples.patterns.operations import Receipt, operation, step
    from sagas import DeadlineExceededError, RejectedError, Saga, action


class Contract(BaseModel):
    """A contract with a right of withdrawal."""

    id: str


class Withdrawal(BaseModel):
    """The customer withdraws from the contract."""

    reason: str


reserve = step("reserve-number", "release-number", Contract)
activate = action(operation("activate-contract", Contract))


@workflow.defn
class ContractSaga:
    """Activates a contract after the cooling-off period."""

    @workflow.run
    async def run(self, contract: Contract) -> Receipt:
        """Waits for two weeks, unless the customer withdraws."""
        async with Saga() as saga:
            withdrawn = saga.expect("contract-withdrawn", Withdrawal)
            await saga.step(reserve, contract)
            try:
                withdrawal = await saga.wait_for(withdrawn, timeout=timedelta(days=14))
            except DeadlineExceededError:
                return await saga.pivot(activate, contract)
            raise RejectedError("withdrawn", withdrawal.reason)
