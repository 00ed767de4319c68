"""The scenarios of the parallel checks."""

from temporalio.client import Client

from examples.patterns.parallel_checks import CheckedOrderSaga, Order, fraud, pay
from sagas import Compensated, Completed
from sagas.testing import SagaRun, rejects, run_saga

ORDER = Order(id="7")


async def all_checks_pass(client: Client) -> SagaRun:
    """Every check passes: the payment is taken."""
    run = await run_saga(CheckedOrderSaga.run, ORDER, client=client)
    run.assert_outcome(Completed)
    run.assert_trace("check-credit", "check-fraud", "reserve-stock", "take-payment")
    return run


async def one_check_fails(client: Client) -> SagaRun:
    """The fraud check refuses: nothing is paid, and no stock stays reserved."""
    run = await run_saga(CheckedOrderSaga.run, ORDER, client=client, steps={fraud: rejects("suspicious")})
    run.assert_outcome(Compensated, code="suspicious")
    assert "take-payment" not in run.trace
    run.assert_remaining_effects()
    return run


async def payment_refused(client: Client) -> SagaRun:
    """The payment is refused: the reservation is released, and a check has no compensation."""
    run = await run_saga(CheckedOrderSaga.run, ORDER, client=client, steps={pay: rejects("no_funds")})
    run.assert_outcome(Compensated, code="no_funds")
    assert run.trace[-2:] == ["take-payment rejected", "compensate reserve-stock"]
    return run
