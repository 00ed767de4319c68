"""Records the stored histories anew: `python -m tests.histories`, and others with their folder's name.

Only to be done when the SDK has not been released since they were recorded: a stored history stands for
sagas that run at a user's. A fresh server is used, on which nothing has run.
"""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from temporalio.client import WorkflowFailureError
from temporalio.worker import Worker

from activities import HttpParticipant
from examples.demo.player import orchestrated, play
from examples.order.deployment import DEPLOYMENT
from examples.order.scenarios import ORDERS, an_order
from examples.order.worker import OPERATIONS
from examples.payment.saga import PaymentSaga
from examples.payment.scenarios import PAYMENTS
from examples.stack.stack import Stack
from sagas import start_saga
from tests.histories.order_saga_before_screening import OrderSagaBeforeScreening
from workers import ConfigurationError, Settings, run_main
from workers._histories.recorder import record_history

FOLDER = Path(__file__).parent
TODAY = version("durable-sagas")
NAMES = {
    *("all-well", "out-of-stock", "card-declined", "capture-refused", "shipment-refused"),
    *("reply-lost", "replies-lost", "customer-cancels"),
    *("paid", "payment-declined", "payment-capture-refused", "unsupported-currency"),
}
"""What is recorded of the version of today: the scenarios in which no server dies."""
ORDERS_BEFORE_SCREENING = {
    "completed": an_order(),
    "out-of-stock": an_order(sku="SOLD-OUT"),
    "card-declined": an_order(card="tok_declined"),
    "shipment-refused": an_order(postal_code="00001"),
}


async def today(stack: Stack) -> list[str]:
    """Runs the example sagas; returns their ids."""
    console = Console(quiet=True)
    outcomes = [
        await play(scenario, orchestrated(stack), stack, scenario.name, console)
        for scenario in (*ORDERS, *PAYMENTS)
        if scenario.name in NAMES
    ]
    assert [each.scenario.name for each in outcomes if each.violations] == []
    assert {each.scenario.name for each in outcomes} == NAMES
    return [each.saga_id for each in outcomes]


async def before_screening(stack: Stack) -> list[str]:
    """Runs one order of each kind with the order saga as it was; returns their ids."""
    async with AsyncExitStack() as exit_stack:
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
        handles = [
            await start_saga(
                stack.client,
                OrderSagaBeforeScreening.run,
                build(name),
                id=f"order-{name}",
                task_queue="before-screening",
            )
            for name, build in ORDERS_BEFORE_SCREENING.items()
        ]
        for handle in handles:
            with suppress(WorkflowFailureError):
                await handle.result()
    return [handle.id for handle in handles]


RUNS: dict[str, Callable[[Stack], Awaitable[list[str]]]] = {
    TODAY: today,
    "before_screening": before_screening,
}


@asynccontextmanager
async def fresh_stack() -> AsyncIterator[Stack]:
    """All servers, with data that is thrown away."""
    with tempfile.TemporaryDirectory() as data:
        async with Stack(Settings(data_folder=Path(data)), DEPLOYMENT, task_queue="recorded") as stack:
            yield stack


async def record(name: str) -> None:
    """Writes the histories of one set into its folder, in place of those that are there."""
    if name not in RUNS:
        raise ConfigurationError(f"there is no set {name!r}; there are {', '.join(RUNS)}")
    async with fresh_stack() as stack:
        ids = await RUNS[name](stack)
        await asyncio.to_thread(shutil.rmtree, FOLDER / name, ignore_errors=True)
        for saga_id in ids:
            print(f"recorded {(await record_history(stack.client, saga_id, FOLDER / name)).folder}")


if __name__ == "__main__":
    run_main(record(sys.argv[1] if len(sys.argv) > 1 else TODAY))
