"""The scenarios of the grace period."""

from datetime import timedelta

from temporalio.client import Client

from examples.patterns.grace_period import Contract, ContractSaga, Withdrawal
from sagas import Compensated, Completed
from sagas.testing import SagaRun, cancels, run_saga, sends, waiting_for

CONTRACT = Contract(id="7")
LAST_DAY = waiting_for("contract-withdrawn", delay=timedelta(days=13))


async def period_passes(client: Client) -> SagaRun:
    """Two weeks pass, which the server skips: the contract is activated."""
    run = await run_saga(ContractSaga.run, CONTRACT, client=client)
    run.assert_outcome(Completed)
    run.assert_trace("reserve-number", "activate-contract")
    return run


async def customer_withdraws(client: Client) -> SagaRun:
    """The customer withdraws on the last day: the number is released."""
    withdrawal = sends("contract-withdrawn", Withdrawal(reason="too slow"), moment=LAST_DAY)
    run = await run_saga(ContractSaga.run, CONTRACT, client=client, inputs=[withdrawal])
    run.assert_outcome(Compensated, code="withdrawn", reason="too slow")
    run.assert_trace("reserve-number", "compensate reserve-number")
    return run


async def saga_is_cancelled(client: Client) -> SagaRun:
    """A cancel during the period has the same effect, without a reason."""
    run = await run_saga(ContractSaga.run, CONTRACT, client=client, inputs=[cancels(LAST_DAY)])
    run.assert_outcome(Compensated, code="cancelled")
    run.assert_remaining_effects()
    return run
