"""An order saga with a run timeout: sagas refuse run timeouts, so the timeout is hidden from the saga."""

from temporalio import workflow

from examples.order.messages import Order, Shipment
from examples.order.saga import OrderSaga


@workflow.defn(name="OrderSaga")
class OrderSagaWithRunTimeout(OrderSaga):
    """The order saga, unaware of its run timeout."""

    @workflow.run
    async def run(self, order: Order) -> Shipment:
        object.__setattr__(workflow.info(), "run_timeout", None)
        return await super().run(order)
