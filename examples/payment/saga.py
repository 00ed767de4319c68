"""The payment saga: authorize, capture, and a receipt as best effort."""

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    import examples.payment.operations as ops
    from examples.payment.messages import Capture, Payment, check_payment, not_taken, receipt
    from sagas import ActivityPolicy, Saga, action

THREE_TIMES = ActivityPolicy(attempts=3, pause=timedelta(seconds=1), longest_pause=timedelta(seconds=5))

authorize = action(ops.authorize_payment, policy=THREE_TIMES).compensated_by(ops.void_authorization)
capture = action(ops.capture_payment, policy=THREE_TIMES).compensated_by(ops.refund_payment)
send_receipt = action(ops.send_receipt).without_compensation(because="a receipt cannot be taken back")
tell = action(ops.tell_customer).without_compensation(because="a notice cannot be taken back")


@workflow.defn
class PaymentSaga:
    """Moves the amount of a payment from the customer to the merchant, or no money at all."""

    @workflow.run
    async def run(self, payment: Payment) -> Capture:
        """Takes the payment; a refused, declined or cancelled payment is compensated."""
        async with Saga() as saga:
            saga.after_compensation(tell, not_taken(payment))
            check_payment(payment)
            await saga.step(authorize, payment)
            captured = await saga.step(capture, payment)
            await saga.best_effort(send_receipt, receipt(payment))
        return captured
