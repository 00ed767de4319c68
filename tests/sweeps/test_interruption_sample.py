"""Orders are interrupted at a few points: kill of the worker, termination and run timeout."""

from pathlib import Path

import pytest

from examples.stack.stack import Stack

from .orders.interrupted_orders import interrupt_and_rescue, run_timeout, termination
from .orders.killed_processes import kill_worker_at
from .orders.order_batches import TIMINGS, BaselineOrder, OrderCase, order_cases

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def cases(baseline_orders: tuple[BaselineOrder, ...]) -> list[OrderCase]:
    """One interruption point of each timing, in the middle of the saga: of both orders, in turn."""
    by_timing: dict[str, list[OrderCase]] = {}
    for case in order_cases(baseline_orders):
        by_timing.setdefault(case[1].timing, []).append(case)
    assert by_timing.keys() == TIMINGS
    return [
        of_timing[len(of_timing) * (3 if number % 2 else 1) // 4]
        for number, of_timing in enumerate(by_timing.values())
    ]


async def test_orders_survive_the_kill_of_their_worker(
    stack: Stack, cases: list[OrderCase], tmp_path: Path
) -> None:
    """P7: a completed order has every effect once, and a rejected order none."""
    await kill_worker_at(stack, cases, tmp_path)


async def test_terminated_orders_are_rescued(stack: Stack, cases: list[OrderCase], tmp_path: Path) -> None:
    """The order is shipped with every effect once, or has no effect; a second rescue changes nothing."""
    await interrupt_and_rescue(stack, cases, tmp_path, termination())


async def test_orders_that_exceed_their_run_timeout_are_rescued(
    stack: Stack, cases: list[OrderCase], tmp_path: Path
) -> None:
    """The order is shipped with every effect once, or has no effect; a second rescue changes nothing."""
    await interrupt_and_rescue(stack, cases, tmp_path, run_timeout())
