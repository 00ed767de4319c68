"""The order saga before the screening for fraud was added, which has recorded the stored histories."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from examples.order.messages import (
        CreateShipment,
        Order,
        ReserveStock,
        Shipment,
        cancelled,
        check_order,
        on_its_way,
    )
    from examples.order.saga import approve, create, reserve, ship, tell
    from examples.payment.saga import PaymentSaga
    from sagas import Saga


@workflow.defn(name="OrderSaga")
class OrderSagaBeforeScreening:
    @workflow.run
    async def run(self, order: Order) -> Shipment:
        async with Saga() as saga:
            saga.after_compensation(tell, cancelled(order))
            check_order(order)
            await saga.step(create, order)
            await saga.step(reserve, ReserveStock.of(order))
            await saga.child(PaymentSaga.run, order.payment, name="payment")
            shipment = await saga.pivot(ship, CreateShipment.of(order))
            await saga.step(approve, order)
            await saga.best_effort(tell, on_its_way(order))
        return shipment
