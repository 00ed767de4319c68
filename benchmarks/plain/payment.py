"""The payment saga by hand."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from benchmarks.plain.compensations import THREE_TIMES, Compensations, call
    from examples.payment import operations as ops
    from examples.payment.messages import Capture, Notice, Payment, check_payment


@workflow.defn
class PlainPayment:
    """Moves a customer's money to the merchant, or leaves it where it was."""

    @workflow.run
    async def run(self, payment: Payment) -> Capture:
        """Takes the payment; its parent knows how to make up for it."""
        compensations = Compensations()
        try:
            check_payment(payment)
            compensations.add(ops.void_authorization, payment)
            await call(ops.authorize_payment, payment, retry=THREE_TIMES)
            compensations.add(ops.refund_payment, payment)
            captured = await call(ops.capture_payment, payment, retry=THREE_TIMES)
        except (Exception, asyncio.CancelledError):
            await compensations.run()
            raise
        try:
            await call(ops.send_receipt, _receipt(payment))
        except ActivityError as error:
            workflow.logger.warning("no receipt: %s", error)
        return captured


def _receipt(payment: Payment) -> Notice:
    return Notice(order_id=payment.order_id, customer=payment.customer, subject="Your receipt")
