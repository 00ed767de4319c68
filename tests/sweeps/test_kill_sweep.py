"""The worker and the server die with a saga at every point of its life, and all end as without a death."""

import asyncio
import math
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from examples.compare.stack import Stack

from .orders.order_batches import KINDS, Wave, Whole

pytestmark = pytest.mark.asyncio(loop_scope="session")

AT_ONCE = 8
"""Sagas that die together: all must have come to their points before the first attempt runs out of time."""

KILLS_OF_SERVER = 10


async def test_the_worker_dies_after_each_event(
    stack: Stack, wholes: tuple[Whole, ...], tmp_path: Path, report: list[str]
) -> None:
    """A completed order has every effect once, a refused one none, wherever its worker was killed."""
    points = [point for whole in wholes for point in whole.points]
    turn = asyncio.Lock()

    async def die_and_go_on(wave: Wave) -> None:
        # One wave after the other comes to its points; while it recovers, there is room for the next.
        async with AsyncExitStack() as exits:
            async with turn:
                exits.callback(wave.worker.kill)
                await wave.start()
                await wave.until_all_are_there()
                wave.worker.kill()
                wave.forget_points()
                wave.worker.start()
            await wave.check_endings()

    async with asyncio.TaskGroup() as waves:
        for number, start in enumerate(range(0, len(points), AT_ONCE)):
            wave = Wave(stack, tmp_path / f"wave-{number}", points[start : start + AT_ONCE])
            waves.create_task(die_and_go_on(wave))
    report.append(f"kills of the worker: {len(points)} sagas, each at a point of its own")


async def test_the_server_dies_ten_times_each_with_a_saga_at_another_point(
    stack: Stack, wholes: tuple[Whole, ...], tmp_path: Path, report: list[str]
) -> None:
    """It loses nothing that it has acknowledged, and its workers go on by themselves."""
    assert stack.temporal is not None
    points = [point for whole in wholes for point in whole.points]
    # An odd step, as points of one kind stand next but one.
    some = points[:: math.ceil(len(points) / KILLS_OF_SERVER) | 1]

    async with AsyncExitStack() as exits, asyncio.TaskGroup() as endings:
        for number, point in enumerate(some):
            # With a worker that has not seen a server die: another may not poll for seconds.
            wave = Wave(stack, tmp_path / f"server-{number}", [point])
            exits.callback(wave.worker.kill)
            await wave.start()
            await wave.until_all_are_there()
            stack.temporal.kill()
            await stack.temporal.restart()
            wave.let_go(*wave.sagas)
            # It comes to its end while the next one comes to its point, and may be hit once more.
            endings.create_task(wave.check_endings())
    kinds = Counter(moment.when for _, moment in some)
    assert (len(some), set(kinds)) == (KILLS_OF_SERVER, KINDS)
    report.append(f"kills of the server: {len(some)}, each with a saga at a point of its own")
