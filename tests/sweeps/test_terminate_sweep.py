"""Orders are terminated at their interruption points, and rescued."""

from pathlib import Path

import pytest

from examples.stack.stack import Stack
from tests.sampling import Sampler

from .orders.interrupted_orders import interrupt_and_rescue, termination
from .orders.order_batches import BaselineOrder, order_cases

pytestmark = [pytest.mark.sweep, pytest.mark.asyncio(loop_scope="session")]

TERMINATIONS = 60


async def test_an_order_that_is_terminated_at_any_point_is_rescued(
    stack: Stack,
    baseline_orders: tuple[BaselineOrder, ...],
    tmp_path: Path,
    sampler: Sampler,
    report: list[str],
) -> None:
    """The order is shipped with every effect once, or has no effect; a second rescue changes nothing."""
    chosen = sampler.choose("terminations", order_cases(baseline_orders), TERMINATIONS)

    report += await interrupt_and_rescue(stack, chosen, tmp_path, termination())
