"""The worker and the server die with a saga at every point of its life, and all end as without a death."""

import asyncio
import math
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from examples.compare.stack import Stack

from .orders.order_batches import KINDS, OrderBatch, UndisturbedOrder

pytestmark = pytest.mark.asyncio(loop_scope="session")

AT_ONCE = 8
"""Sagas that die together: all must have come to their points before the first attempt runs out of time."""

KILLS_OF_SERVER = 10


async def test_the_worker_dies_after_each_event(
    stack: Stack, undisturbed_orders: tuple[UndisturbedOrder, ...], tmp_path: Path, report: list[str]
) -> None:
    """A completed order has every effect once, a refused one none, wherever its worker was killed."""
    order_points = [
        order_point
        for undisturbed_order in undisturbed_orders
        for order_point in undisturbed_order.order_points
    ]
    turn = asyncio.Lock()

    async def die_and_go_on(batch: OrderBatch) -> None:
        # One wave after the other comes to its points; while it recovers, there is room for the next.
        async with AsyncExitStack() as exits:
            async with turn:
                exits.callback(batch.worker.kill)
                await batch.start()
                await batch.until_all_are_there()
                batch.worker.kill()
                batch.forget_points()
                batch.worker.start()
            await batch.check_endings()

    async with asyncio.TaskGroup() as batches:
        for number, start in enumerate(range(0, len(order_points), AT_ONCE)):
            batch = OrderBatch(stack, tmp_path / f"wave-{number}", order_points[start : start + AT_ONCE])
            batches.create_task(die_and_go_on(batch))
    report.append(f"kills of the worker: {len(order_points)} sagas, each at a point of its own")


async def test_the_server_dies_ten_times_each_with_a_saga_at_another_point(
    stack: Stack, undisturbed_orders: tuple[UndisturbedOrder, ...], tmp_path: Path, report: list[str]
) -> None:
    """It loses nothing that it has acknowledged, and its workers go on by themselves."""
    assert stack.temporal is not None
    order_points = [
        order_point
        for undisturbed_order in undisturbed_orders
        for order_point in undisturbed_order.order_points
    ]
    # An odd step, as points of one kind stand next but one.
    some = order_points[:: math.ceil(len(order_points) / KILLS_OF_SERVER) | 1]

    async with AsyncExitStack() as exits, asyncio.TaskGroup() as endings:
        for number, order_point in enumerate(some):
            # With a worker that has not seen a server die: another may not poll for seconds.
            batch = OrderBatch(stack, tmp_path / f"server-{number}", [order_point])
            exits.callback(batch.worker.kill)
            await batch.start()
            await batch.until_all_are_there()
            stack.temporal.kill()
            await stack.temporal.restart()
            batch.let_go(*batch.sagas)
            # It comes to its end while the next one comes to its point, and may be hit once more.
            endings.create_task(batch.check_endings())
    kinds = Counter(point.when for _, point in some)
    assert (len(some), set(kinds)) == (KILLS_OF_SERVER, KINDS)
    report.append(f"kills of the server: {len(some)}, each with a saga at a point of its own")
