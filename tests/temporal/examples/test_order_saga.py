"""The order saga of the examples with the payment saga as its child, with scripted participants."""

from temporalio.client import Client

from examples.order.messages import Address, Order, OrderLine
from examples.order.saga import OrderSaga, approve, reserve, ship
from examples.payment.saga import capture
from sagas import Compensated, Completed
from sagas.testing import after as after_call
from sagas.testing import cancels, fails, loses_reply, rejects, run_saga

from .test_payment_saga import PAYMENT

ORDER = Order(
    order_id="o-1",
    customer=PAYMENT.customer,
    lines=(OrderLine(sku="BOOK-1", quantity=2),),
    amount=PAYMENT.amount,
    currency=PAYMENT.currency,
    method=PAYMENT.method,
    address=Address(street="Hafenstr. 1", postal_code="24103", country="DE"),
)
PAYMENT_STEPS = ("payment:authorize-payment", "payment:capture-payment", "payment:send-receipt")
BEFORE_PAYMENT = ("create-order", "reserve-stock", "screen-order")


async def test_order_is_paid_shipped_and_approved(saga_client: Client) -> None:
    """The steps of the child stand between the steps of the order."""
    run = await run_saga(OrderSaga.run, ORDER, client=saga_client)

    run.assert_outcome(Completed)
    run.assert_trace(*BEFORE_PAYMENT, *PAYMENT_STEPS, "create-shipment", "approve-order", "tell-customer")


async def test_missing_stock_cancels_the_order(saga_client: Client) -> None:
    """Nothing is paid."""
    run = await run_saga(OrderSaga.run, ORDER, client=saga_client, steps={reserve: rejects("out_of_stock")})

    run.assert_outcome(Compensated, code="out_of_stock")
    run.assert_trace("create-order", "reserve-stock rejected", "compensate create-order", "tell-customer")


async def test_refused_capture_compensates_child_and_order(saga_client: Client) -> None:
    """The child compensates its own steps, then the order compensates the older steps."""
    run = await run_saga(
        OrderSaga.run, ORDER, client=saga_client, steps={capture: rejects("capture_refused")}
    )

    run.assert_outcome(Compensated, code="capture_refused")
    run.assert_trace(
        *BEFORE_PAYMENT,
        "payment:authorize-payment",
        "payment:capture-payment rejected",
        "compensate payment:authorize-payment",
        "compensate reserve-stock",
        "compensate create-order",
        "tell-customer",
    )


async def test_rejected_shipment_refunds_the_payment(saga_client: Client) -> None:
    """The parent compensates the completed child."""
    steps = {ship: rejects("undeliverable_address")}
    run = await run_saga(OrderSaga.run, ORDER, client=saga_client, steps=steps)

    run.assert_outcome(Compensated, code="undeliverable_address")
    assert run.effects["payment:capture-payment"] == "compensated"
    assert run.effects["reserve-stock"] == "compensated"


async def test_shipment_in_doubt_is_attempted_until_known(saga_client: Client) -> None:
    """The pivot and the steps after the pivot are never compensated."""
    steps = {ship: [loses_reply()] * 7, approve: [fails()] * 7}
    run = await run_saga(OrderSaga.run, ORDER, client=saga_client, steps=steps)

    run.assert_outcome(Completed)
    assert sum(each.address == "create-shipment" for each in run.calls) == 8


async def test_cancel_in_the_child_compensates_everything(saga_client: Client) -> None:
    """A cancel of the order reaches the payment."""
    cancel = cancels(after_call("payment:capture-payment"))
    run = await run_saga(OrderSaga.run, ORDER, client=saga_client, inputs=[cancel])

    run.assert_outcome(Compensated, code="cancelled")
    assert run.effects["payment:capture-payment"] == "compensated"
