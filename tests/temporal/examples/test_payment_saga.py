"""The payment saga of the examples, with scripted participants."""

import pytest
from temporalio.client import Client

from examples.payment.messages import Customer, Payment, PaymentMethod
from examples.payment.saga import PaymentSaga, authorize, capture, send_receipt
from sagas import Compensated, Completed
from sagas.testing import Response, after, answers_late, cancels, fails, loses_reply, rejects, run_saga

PAYMENT = Payment(
    order_id="o-1",
    amount=4_200,
    currency="EUR",
    customer=Customer(id="c-1", email="ada@example.com"),
    method=PaymentMethod(type="card", token="tok_visa", last_four="4242"),
)


async def test_payment_is_captured_and_a_receipt_is_sent(saga_client: Client) -> None:
    """The money moves once."""
    run = await run_saga(PaymentSaga.run, PAYMENT, client=saga_client)

    run.assert_outcome(Completed)
    run.assert_trace("authorize-payment", "capture-payment", "send-receipt")


async def test_refused_capture_voids_the_authorization_and_tells_the_customer(saga_client: Client) -> None:
    """No money moves, and the notice stays."""
    steps = {capture: rejects("capture_refused")}
    run = await run_saga(PaymentSaga.run, PAYMENT, client=saga_client, steps=steps)

    run.assert_outcome(Compensated, code="capture_refused")
    run.assert_trace(
        "authorize-payment", "capture-payment rejected", "compensate authorize-payment", "tell-customer"
    )
    run.assert_remaining_effects("tell-customer")


@pytest.mark.parametrize("response", [fails(), loses_reply(), answers_late()], ids=["fails", "lost", "late"])
async def test_payment_in_doubt_is_refunded(saga_client: Client, response: Response) -> None:
    """Whatever happened to the capture, no money stays with the merchant."""
    run = await run_saga(PaymentSaga.run, PAYMENT, client=saga_client, steps={capture: response})

    run.assert_outcome(Compensated, code="unknown_outcome")
    run.assert_remaining_effects("tell-customer")


async def test_failed_receipt_does_not_fail_the_payment(saga_client: Client) -> None:
    """The receipt is best effort."""
    run = await run_saga(
        PaymentSaga.run, PAYMENT, client=saga_client, steps={send_receipt: rejects("no_mail")}
    )

    run.assert_outcome(Completed)
    run.assert_remaining_effects("authorize-payment", "capture-payment")


async def test_cancel_during_the_authorization_voids_the_authorization(saga_client: Client) -> None:
    """The capture is not started."""
    run = await run_saga(PaymentSaga.run, PAYMENT, client=saga_client, inputs=[cancels(after(authorize))])

    run.assert_outcome(Compensated, code="cancelled")
    run.assert_trace("authorize-payment", "compensate authorize-payment", "tell-customer")


async def test_invalid_payment_calls_only_the_notification(saga_client: Client) -> None:
    """The saga refuses the payment before the first step."""
    free = PAYMENT.model_copy(update={"amount": 0})
    run = await run_saga(PaymentSaga.run, free, client=saga_client)

    run.assert_outcome(Compensated, code="amount_out_of_range", field="amount")
    run.assert_trace("tell-customer")
