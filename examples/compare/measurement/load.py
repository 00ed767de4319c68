"""Runs planned orders in a style, a limited number at a time."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from examples.stack.service_databases import ServiceDatabases
from examples.stack.styles import Style

from .order_plan import PlannedOrder

ORDER_TIMEOUT_SECONDS = 60.0
"""How long an order may take to its end; after that the order counts as unfinished, and the run continues."""
SETTLE_SECONDS = 0.5
"""How long the servers may finish background work after the last order; the cost is counted."""
DRAIN_TIMEOUT_SECONDS = 10.0

OUTBOX_EVENTS = "select count(*) from saga_outbox"
"""The number of events in the outbox of a service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The orders to run in each style.

    Args:
        planned: The orders.
        concurrency: The number of orders in progress at a time; each end starts the next order.
        seed: The seed of the plan.
        alone: The number of completing orders to run singly, before the load.
        idle_seconds: How long the resources of idle processes are measured.
    """

    planned: tuple[PlannedOrder, ...]
    concurrency: int
    seed: int
    alone: int = 20
    idle_seconds: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedOrder:
    """An accepted order.

    Args:
        planned: The plan of the order.
        order_id: The id of the order.
        saga_id: The id of the saga.
        requested_ms: The time of the request, in milliseconds since 1970.
        accepted_ms: The time of the answer, in milliseconds since 1970.
    """

    planned: PlannedOrder
    order_id: str
    saga_id: str
    requested_ms: float
    accepted_ms: float


async def run_orders(
    style: Style, load: Load, *, prefix: str, advance: Callable[[], None]
) -> tuple[PlacedOrder, ...]:
    """Runs the orders of `load`, and returns when all have ended or timed out.

    Args:
        style: The style of the sagas.
        load: The orders.
        prefix: The beginning of each order id.
        advance: Called at the end of each order.
    """
    slots = asyncio.Semaphore(load.concurrency)

    async def run(planned: PlannedOrder) -> PlacedOrder:
        order = planned.build(prefix)
        async with slots:
            requested_ms = time.time_ns() / 1e6
            saga_id = await style.start(order)
            accepted_ms = time.time_ns() / 1e6
            try:
                async with asyncio.timeout(ORDER_TIMEOUT_SECONDS):
                    await style.wait_until_ended(saga_id)
            except TimeoutError:
                pass  # The invariants report the end state as unfinished.
        advance()
        return PlacedOrder(
            planned=planned,
            order_id=order.order_id,
            saga_id=saga_id,
            requested_ms=requested_ms,
            accepted_ms=accepted_ms,
        )

    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(run(each)) for each in load.planned]
    return tuple(each.result() for each in running)


async def wait_until_drained(databases: ServiceDatabases) -> None:
    """Waits until every outbox is empty, and then for background work of the servers."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + DRAIN_TIMEOUT_SECONDS
    # Polled: the database of another process sends no event.
    while sum(databases.count(OUTBOX_EVENTS).values()) and loop.time() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    await asyncio.sleep(SETTLE_SECONDS)
    databases.refresh()
