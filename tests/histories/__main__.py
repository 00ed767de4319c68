"""Records the stored histories anew, with the order saga of before the change: `python -m tests.histories`.

A file is named by the id of its workflow, which the ids of its children and its keys are made of.

Only to be done when the SDK has not been released since they were recorded: a stored history stands for
sagas that run at a user's.
"""

import json
import secrets
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowFailureError
from temporalio.worker import Worker

from activities import HttpParticipant
from examples.compare.scenarios import an_order
from examples.compare.stack import Stack
from examples.payment.saga import PaymentSaga
from examples.worker import OPERATIONS
from sagas import start_saga
from tests.histories.order_saga_before_screening import OrderSagaBeforeScreening
from workers import load_settings, run_main

FOLDER = Path(__file__).parent / "before_screening"
ORDERS = {
    "completed": an_order(),
    "out-of-stock": an_order(sku="SOLD-OUT"),
    "card-declined": an_order(card="tok_declined"),
    "shipment-refused": an_order(postal_code="00001"),
}


async def record() -> None:
    """Runs one order of each kind, and writes its history beside this file."""
    async with (
        Stack(load_settings(), task_queue=f"idle-{secrets.token_hex(4)}") as stack,
        AsyncExitStack() as exit_stack,
    ):
        participants = [
            await exit_stack.enter_async_context(HttpParticipant(name, url))
            for name, url in stack.urls.items()
        ]
        worker = Worker(
            stack.client,
            task_queue="before-screening",
            workflows=[OrderSagaBeforeScreening, PaymentSaga],
            activities=[call for each in participants for call in each.activities(OPERATIONS)],
        )
        await exit_stack.enter_async_context(worker)
        for name, build in ORDERS.items():
            order = build(name)
            handle = await start_saga(
                stack.client,
                OrderSagaBeforeScreening.run,
                order,
                id=f"order-{order.order_id}",
                task_queue="before-screening",
            )
            with suppress(WorkflowFailureError):
                await handle.result()
            history = _scrubbed(json.loads((await handle.fetch_history()).to_json()))
            (FOLDER / f"{handle.id}.json").write_text(json.dumps(history, indent=1) + "\n")


def _scrubbed(value: Any) -> Any:
    """Without what says where it was recorded: stack traces and the names of machines."""
    if isinstance(value, dict):
        return {key: _scrubbed(each) for key, each in value.items() if key not in {"stackTrace", "identity"}}
    return [_scrubbed(each) for each in value] if isinstance(value, list) else value


if __name__ == "__main__":
    run_main(record())
