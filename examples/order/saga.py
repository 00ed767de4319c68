"""The order saga: from the order to the parcel, with the payment saga as its child."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    import examples.order.operations as ops
    from examples.order.messages import (
        CreateShipment,
        Order,
        ReserveStock,
        ScreenOrder,
        Shipment,
        cancelled,
        check_order,
        on_its_way,
    )
    from examples.payment.saga import PaymentSaga
    from sagas import ActivityOptions, Saga, action

THREE_TIMES = ActivityOptions(
    retry_policy=RetryPolicy(maximum_attempts=3, maximum_interval=timedelta(seconds=5))
)

create = action(ops.create_order).compensated_by(ops.cancel_order)
reserve = action(ops.reserve_stock, options=THREE_TIMES).compensated_by(ops.release_stock)
screen = action(ops.screen_order).read_only()
ship = action(ops.create_shipment)
approve = action(ops.approve_order)
tell = action(ops.tell_customer)


@workflow.defn
class OrderSaga:
    """Delivers an order to the customer, or compensates every step."""

    @workflow.run
    async def run(self, order: Order) -> Shipment:
        """Fulfils the order; after the shipment, the pivot, no step is compensated."""
        async with Saga() as saga:
            saga.after_compensation(tell, cancelled(order))
            check_order(order)
            await saga.step(create, order)
            await saga.step(reserve, ReserveStock.of(order))
            # Orders that were accepted before the screening existed are not screened in replay.
            if workflow.patched("screen-before-payment"):
                await saga.step(screen, ScreenOrder.of(order))
            await saga.child(PaymentSaga.run, order.payment, name="payment")
            shipment = await saga.pivot(ship, CreateShipment.of(order))
            await saga.step(approve, order)
            await saga.best_effort(tell, on_its_way(order))
        return shipment
