"""The order saga on plain `temporalio`, with the payment as a child workflow."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from benchmarks.plain.compensations import THREE_TIMES, UNTIL_DONE, Compensations, call, shielded
    from benchmarks.plain.payment import PlainPayment
    from examples.order import operations as ops
    from examples.order.messages import (
        CreateShipment,
        Order,
        ReserveStock,
        ScreenOrder,
        Shipment,
        check_order,
    )
    from examples.payment.messages import Notice
    from examples.payment.operations import refund_payment, void_authorization


@workflow.defn
class PlainOrder:
    """Delivers an order to the customer, or compensates every step."""

    @workflow.run
    async def run(self, order: Order) -> Shipment:
        """Fulfils the order; after the shipment, the pivot, no step is compensated."""
        compensations = Compensations()
        try:
            shipment = await self._until_shipped(order, compensations)
        except (Exception, asyncio.CancelledError):
            await compensations.run()
            await shielded(_send_notice(order, "Your order was cancelled"))
            raise
        await shielded(self._deliver(order))
        return shipment

    async def _until_shipped(self, order: Order, compensations: Compensations) -> Shipment:
        check_order(order)
        compensations.add(ops.cancel_order, order)
        await call(ops.create_order, order)
        compensations.add(ops.release_stock, ReserveStock.of(order))
        await call(ops.reserve_stock, ReserveStock.of(order), retry=THREE_TIMES)
        if workflow.patched("screen-before-payment"):
            await call(ops.screen_order, ScreenOrder.of(order))
        # A failed payment has compensated its steps.
        payment = order.payment
        await workflow.execute_child_workflow(
            PlainPayment.run,
            payment,
            id=f"{workflow.info().workflow_id}/payment",
            cancellation_type=workflow.ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
            parent_close_policy=workflow.ParentClosePolicy.REQUEST_CANCEL,
        )
        compensations.add(void_authorization, payment)
        compensations.add(refund_payment, payment)
        return await call(ops.create_shipment, CreateShipment.of(order), retry=UNTIL_DONE)

    async def _deliver(self, order: Order) -> None:
        await call(ops.approve_order, order, retry=UNTIL_DONE)
        await _send_notice(order, "Your order is on its way")


async def _send_notice(order: Order, subject: str) -> None:
    notice = Notice(order_id=order.order_id, customer=order.customer, subject=subject)
    try:
        await call(ops.tell_customer, notice)
    except ActivityError as error:
        workflow.logger.warning("no notice was sent: %s", error)
