"""The order saga: the order is paid and its stock is reserved, or neither."""

from collections.abc import Callable, Sequence

from pydantic import BaseModel
from sagas import RejectedError, Saga, action
from temporalio import activity, workflow

TASK_QUEUE = "$project"


class Order(BaseModel):
    item: str
    card: str


@activity.defn
async def reserve_stock(order: Order) -> str:
    """Calls the stock's service, and returns the id of the reservation."""
    print("reserved:", order.item)
    return f"reservation of one {order.item}"


@activity.defn
async def release_stock(order: Order, reservation: str | None) -> None:
    """Compensates; the reservation is None when the reply of the action was lost."""
    print("released:", reservation or order.item)


@activity.defn
async def charge_card(order: Order) -> str:
    """Calls the bank, and returns the number of the receipt."""
    if order.card == "0000":
        raise RejectedError("card_declined", "the bank declines the card")
    print("paid:", order.item)
    return f"receipt for one {order.item}"


ACTIVITIES: Sequence[Callable[..., object]] = [
    reserve_stock,
    release_stock,
    charge_card,
]

stock = action(reserve_stock).compensated_by(release_stock)
payment = action(charge_card)


@workflow.defn
class OrderSaga:
    @workflow.run
    async def run(self, order: Order) -> str:
        async with Saga() as saga:
            await saga.step(stock, order)
            return await saga.pivot(payment, order)
