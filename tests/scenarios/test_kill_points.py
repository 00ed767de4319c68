"""The worker dies at many points of the order saga, and the end states are those of a run without deaths."""

import asyncio
import contextlib
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError

from examples.compare.endings import COMPLETED, NOTHING, ending_of
from examples.compare.scenarios import an_order
from examples.compare.stack import ROOT, Stack
from examples.order.saga import OrderSaga
from sagas import start_saga
from tests.scenarios.replaying import replay
from workers import ChildProcess

PATIENCE = 90
"""Seconds; a task or an attempt that died with its worker is given to another after 10."""

pytestmark = pytest.mark.asyncio(loop_scope="session")

FORWARD = (
    "after:task-1",
    "before:task-3",
    "after:create-order",
    "before:reserve-stock",
    "after:reserve-stock",
    "after:authorize-payment",
    "after:capture-payment",
    "after:task-9",
    "before:create-shipment",
    "after:create-shipment",
    "after:approve-order",
)
BACKWARD = (
    "before:refund-payment",
    "after:refund-payment",
    "after:release-stock",
    "before:cancel-order",
    "after:tell-customer",
)


async def test_no_end_state_changes_when_the_worker_dies(stack: Stack, tmp_path: Path) -> None:
    """A completed order has every effect once, a refused one none, wherever the worker was killed."""
    deaths = [(point, "10115", COMPLETED) for point in FORWARD]
    deaths += [(point, "00001", NOTHING) for point in BACKWARD]

    await asyncio.gather(*(_survive(stack, tmp_path, *death) for death in deaths))


async def _survive(
    stack: Stack, folder: Path, point: str, postal_code: str, effects: Mapping[str, tuple[str, ...]]
) -> None:
    order = an_order(postal_code=postal_code)(secrets.token_hex(6))
    name = f"{point}-{postal_code}".replace(":", "-")
    queue, note = f"kill-{order.order_id}", folder / f"{name}.died"
    participants = [f"{service}={url}" for service, url in stack.urls.items()]
    worker = ChildProcess(
        [sys.executable, "-m", "tests.scenarios.dying_worker", point, note, queue, *participants],
        name=name,
        log=folder / f"{name}.log",
        environment={"SAGAS_DATA_FOLDER": str(stack.settings.data_folder)},
        folder=ROOT,
    )
    handle = await start_saga(
        stack.client, OrderSaga.run, order, id=f"order-{order.order_id}", task_queue=queue
    )
    async with worker, asyncio.timeout(PATIENCE):
        assert await worker.wait() == -9, f"{point} was never reached"
        worker.start()
        with contextlib.suppress(WorkflowFailureError):
            await handle.result()

    ending = await ending_of(stack, order.order_id)
    status = (await handle.describe()).status
    assert note.exists()
    assert (ending.effects, ending.broken) == (effects, ()), point
    assert status is (WorkflowExecutionStatus.COMPLETED if effects else WorkflowExecutionStatus.FAILED), point
    await replay(stack.client, handle.id)
