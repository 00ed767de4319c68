"""An order is terminated at every point of its life, and rescued from there."""

from pathlib import Path

import pytest

from examples.compare.stack import Stack

from .orders.interrupted_orders import InterruptedOrder, Interruption, interrupt_at_every_point
from .orders.order_batches import UndisturbedOrder

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_order_that_is_terminated_after_any_event_is_rescued(
    stack: Stack, undisturbed_orders: tuple[UndisturbedOrder, ...], tmp_path: Path, report: list[str]
) -> None:
    """Either it is fulfilled, with every effect once, or nothing of it is left; asked twice, nothing more."""

    async def terminate(order: InterruptedOrder) -> None:
        await order.handle.terminate(reason="cut off by the test")

    cut = Interruption(what="terminations", in_a_wave=20, cut_off=terminate)
    report += await interrupt_at_every_point(stack, undisturbed_orders, tmp_path, cut)
