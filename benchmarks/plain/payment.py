"""The payment saga on plain `temporalio`."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from benchmarks.plain.compensations import THREE_TIMES, Compensations, call
    from examples.payment import operations as ops
    from examples.payment.messages import Capture, Notice, Payment, check_payment


@workflow.defn
class PlainPayment:
    """Moves the amount of a payment from the customer to the merchant, or no money at all."""

    @workflow.run
    async def run(self, payment: Payment) -> Capture:
        """Takes the payment; after success, the parent compensates the payment if necessary."""
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
            workflow.logger.warning("no receipt was sent: %s", error)
        return captured


def _receipt(payment: Payment) -> Notice:
    return Notice(order_id=payment.order_id, customer=payment.customer, subject="Your receipt")
