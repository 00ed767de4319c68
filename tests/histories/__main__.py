"""Records the stored histories of the current version again: `python -m tests.histories [SET]`.

Histories of a released version must never be recorded again: a stored history stands for the running sagas of
users. The recording uses new servers.
"""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
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
from tests.histories import features, operator_views
from tests.histories.folders import CURRENT
from tests.histories.order_saga_before_screening import OrderSagaBeforeScreening
from workers import ConfigurationError, Settings, run_main
from workers._histories.recorder import record_history

NAMES = {
    *("all-well", "out-of-stock", "card-declined", "capture-refused", "shipment-refused"),
    *("reply-lost", "replies-lost", "customer-cancels"),
    *("paid", "payment-declined", "payment-capture-refused", "unsupported-currency"),
}
"""The recorded scenarios: all scenarios without a killed process."""
ORDERS_BEFORE_SCREENING = {
    "completed": an_order(),
    "out-of-stock": an_order(sku="SOLD-OUT"),
    "card-declined": an_order(card="tok_declined"),
    "shipment-refused": an_order(postal_code="00001"),
}


async def run_examples(stack: Stack) -> list[str]:
    """Runs the example sagas; returns the saga ids."""
    console = Console(quiet=True)
    outcomes = [
        await play(scenario, orchestrated(stack), stack, scenario.name, console)
        for scenario in (*ORDERS, *PAYMENTS)
        if scenario.name in NAMES
    ]
    assert [each.scenario.name for each in outcomes if each.violations] == []
    assert {each.scenario.name for each in outcomes} == NAMES
    return [each.saga_id for each in outcomes]


async def run_before_screening(stack: Stack) -> list[str]:
    """Runs one order of each kind with the order saga of before the screening; returns the saga ids."""
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


@asynccontextmanager
async def fresh_stack() -> AsyncIterator[Stack]:
    """New servers and services, with a temporary data folder."""
    with tempfile.TemporaryDirectory() as data:
        async with Stack(Settings(data_folder=Path(data)), DEPLOYMENT, task_queue="recorded") as stack:
            yield stack


async def record_sagas(folder: Path, run: Callable[[Stack], Awaitable[list[str]]]) -> None:
    """Runs sagas on a new stack, and writes a recording of each saga."""
    async with fresh_stack() as stack:
        for saga_id in await run(stack):
            await record_history(stack.client, saga_id, folder)


SETS: dict[str, Callable[[Path], Awaitable[None]]] = {
    "examples": partial(record_sagas, run=run_examples),
    "before_screening": partial(record_sagas, run=run_before_screening),
    "features": features.record,
    "sections": partial(features.record, trips=features.SECTIONS),
    "independent": partial(features.record, trips=features.INDEPENDENT),
    "maps": partial(features.record, trips=features.MAPS),
    "operator_views": operator_views.record,
}
"""What records a set of histories into a folder."""


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


async def main(names: Sequence[str]) -> None:
    """Replaces the stored histories of some sets, or of all sets."""
    if unknown := set(names) - SETS.keys():
        raise ConfigurationError(f"unknown set {unknown.pop()!r}: choose one of {', '.join(SETS)}")
    for name in names or SETS:
        await asyncio.to_thread(_empty, CURRENT / name)
        await SETS[name](CURRENT / name)
        print(f"recorded {name}")


if __name__ == "__main__":
    run_main(main(sys.argv[1:]))
