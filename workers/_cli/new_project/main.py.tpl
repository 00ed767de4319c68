"""Starts an order saga, and prints the outcome: `python -m $package CARD ITEM`."""

import asyncio
import sys
from uuid import uuid4

from sagas import Compensated, Completed, execute_saga

from .client import connect
from .saga import TASK_QUEUE, Order, OrderSaga


async def main(card: str, item: str) -> None:
    saga_id = f"order-{uuid4().hex[:8]}"
    order = Order(item=item, card=card)
    outcome = await execute_saga(
        await connect(), OrderSaga.run, order, id=saga_id, task_queue=TASK_QUEUE
    )
    match outcome:
        case Completed(receipt):
            print(f"{saga_id} is completed: {receipt}")
        case Compensated(code, reason=reason):
            print(f"{saga_id} is compensated: {code}, {reason}")
        case _:
            print(f"{saga_id} needs a look: {outcome}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m $package CARD ITEM")
    asyncio.run(main(*sys.argv[1:]))
