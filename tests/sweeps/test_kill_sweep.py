"""A worker or the server is killed at the interruption points of orders; the orders end as if undisturbed."""

from pathlib import Path

import pytest

from examples.stack.stack import Stack
from tests.sampling import Sampler

from .orders.killed_processes import kill_server_at, kill_worker_at
from .orders.order_batches import TIMINGS, BaselineOrder, OrderCase, order_cases

pytestmark = [pytest.mark.sweep, pytest.mark.asyncio(loop_scope="session")]

KILLS_OF_THE_WORKER = 40


async def test_orders_survive_the_kill_of_their_worker_at_any_point(
    stack: Stack,
    baseline_orders: tuple[BaselineOrder, ...],
    tmp_path: Path,
    sampler: Sampler,
    report: list[str],
) -> None:
    """P7: a completed order has every effect once, and a rejected order none."""
    cases = order_cases(baseline_orders)
    chosen = sampler.choose("kills of the worker", cases, KILLS_OF_THE_WORKER)

    await kill_worker_at(stack, chosen, tmp_path)

    report.append(f"kills of the worker: at {len(chosen)} of {len(cases)} points")


async def test_orders_survive_the_kill_of_the_server(
    stack: Stack,
    baseline_orders: tuple[BaselineOrder, ...],
    tmp_path: Path,
    sampler: Sampler,
    report: list[str],
) -> None:
    """P7: the server loses nothing acknowledged, and the workers continue without a restart."""
    cases = order_cases(baseline_orders)
    # A kill stops all sagas of the server for seconds, so the exhaustive sweep is a larger sample, too.
    size = 3 if sampler.is_exhaustive else 1
    chosen: list[OrderCase] = []
    for timing in sorted(TIMINGS):
        of_timing = [case for case in cases if case[1].timing is timing]
        chosen += Sampler(sampler.seed).choose(f"kills of the server {timing}", of_timing, size)
    assert len(chosen) == size * len(TIMINGS)

    await kill_server_at(stack, chosen, tmp_path)

    report.append(f"kills of the server: at {len(chosen)} of {len(cases)} points")
