"""The order saga on a real Temporal server, with scripted participants."""

from sagas import Compensated, Completed
from sagas.testing import fails, loses_reply, rejects, run_saga
from temporalio.client import Client

from $package.saga import Order, OrderSaga, payment, stock

ORDER = Order(item="lamp", card="4242")


async def test_an_order_is_paid(saga_client: Client) -> None:
    run = await run_saga(OrderSaga.run, ORDER, client=saga_client)

    run.assert_outcome(Completed)
    run.assert_trace("reserve-stock", "charge-card")


async def test_a_declined_card_releases_the_stock(saga_client: Client) -> None:
    steps = {payment: rejects("card_declined")}
    run = await run_saga(OrderSaga.run, ORDER, client=saga_client, steps=steps)

    run.assert_outcome(Compensated, code="card_declined")
    run.assert_trace(
        "reserve-stock", "charge-card rejected", "compensate reserve-stock"
    )
    run.assert_remaining_effects()


async def test_a_lost_reply_has_one_effect(saga_client: Client) -> None:
    steps = {stock: [loses_reply()], payment: [fails()]}
    run = await run_saga(OrderSaga.run, ORDER, client=saga_client, steps=steps)

    run.assert_outcome(Completed)
    run.assert_remaining_effects("reserve-stock", "charge-card")
