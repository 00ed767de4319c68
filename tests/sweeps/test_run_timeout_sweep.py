"""An order runs into a time limit of the server at every point of its life, and is rescued from there."""

from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.client import WorkflowFailureError

from examples.compare.stack import Stack

from .orders.interrupted_orders import InterruptedOrder, Interruption, interrupt_at_every_point
from .orders.order_batches import UndisturbedOrder

pytestmark = pytest.mark.asyncio(loop_scope="session")

TIME_LIMIT = timedelta(seconds=20)
"""Long enough to come to any point, and to go on to the end from there, though an attempt gets lost and is
only made again after ten seconds."""


async def test_an_order_that_ran_into_a_timeout_after_any_event_is_rescued(
    stack: Stack, undisturbed_orders: tuple[UndisturbedOrder, ...], tmp_path: Path, report: list[str]
) -> None:
    """Either it is fulfilled, with every effect once, or nothing of it is left; asked twice, nothing more."""

    async def until_its_time_is_over(order: InterruptedOrder) -> None:
        with pytest.raises(WorkflowFailureError):
            await order.handle.result()

    # While one waits for the end of its time, others come to their points.
    cut = Interruption(what="timeouts", in_a_wave=10, time_limit=TIME_LIMIT, cut_off=until_its_time_is_over)
    report += await interrupt_at_every_point(stack, undisturbed_orders, tmp_path, cut)
