"""An order saga that can run into a time limit, which a saga would refuse to begin with."""

from temporalio import workflow

from examples.order.messages import Order, Shipment
from examples.order.saga import OrderSaga


@workflow.defn(name="OrderSaga")
class OrderSagaWithRunTimeout(OrderSaga):
    """The order saga, which does not see that it has a time limit."""

    @workflow.run
    async def run(self, order: Order) -> Shipment:
        object.__setattr__(workflow.info(), "run_timeout", None)
        return await super().run(order)
