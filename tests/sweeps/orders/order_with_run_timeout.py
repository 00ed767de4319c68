"""An order saga with a run timeout; the test hides the timeout, because sagas refuse run timeouts."""

from temporalio import workflow

from examples.order.messages import Order, Shipment
from examples.order.saga import OrderSaga


@workflow.defn(name="OrderSaga")
class OrderSagaWithRunTimeout(OrderSaga):
    """The order saga, unaware of the run timeout."""

    @workflow.run
    async def run(self, order: Order) -> Shipment:
        object.__setattr__(workflow.info(), "run_timeout", None)
        return await super().run(order)
