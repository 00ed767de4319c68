"""Kills a worker or the Temporal server while orders are paused at their interruption points."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from examples.stack.stack import Stack

from .order_batches import OrderBatch, OrderCase

BATCH_SIZE = 8
"""Orders that share a killed worker: all must reach their points before an activity attempt times out."""


async def kill_worker_at(stack: Stack, cases: Sequence[OrderCase], folder: Path) -> None:
    """Kills the worker of each batch of paused orders, starts a new worker, and checks the endings."""
    turn = asyncio.Lock()

    async def kill_and_recover(batch: OrderBatch) -> None:
        # One batch after the other reaches its points; while a batch recovers, the next batch starts.
        async with AsyncExitStack() as exits:
            async with turn:
                exits.callback(batch.worker.kill)
                await batch.start()
                await batch.wait_until_all_paused()
                batch.worker.kill()
                batch.clear_points()
                batch.worker.start()
            await batch.check_endings()

    async with asyncio.TaskGroup() as batches:
        for start in range(0, len(cases), BATCH_SIZE):
            part = [(baseline.postal_code, point) for baseline, point in cases[start : start + BATCH_SIZE]]
            batches.create_task(kill_and_recover(OrderBatch(stack, folder / f"worker-{start}", part)))


async def kill_server_at(stack: Stack, cases: Sequence[OrderCase], folder: Path) -> None:
    """Kills and restarts the server once for each order at its point, and checks the endings."""
    assert stack.temporal is not None
    async with AsyncExitStack() as exits, asyncio.TaskGroup() as endings:
        for number, (baseline, point) in enumerate(cases):
            # Each order has a new worker: a worker that has lost a server may not poll for seconds.
            batch = OrderBatch(stack, folder / f"server-{number}", [(baseline.postal_code, point)])
            exits.callback(batch.worker.kill)
            await batch.start()
            await batch.wait_until_all_paused()
            stack.temporal.kill()
            await stack.temporal.restart()
            batch.release(*batch.sagas)
            # The order ends while the next order reaches its point, and may lose the server once more.
            endings.create_task(batch.check_endings())
