"""The time from the kill of a process in the middle of a saga to the end of the saga."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from examples.order.scenarios import an_order
from examples.stack.service_databases import ServiceDatabases
from examples.stack.stack import Stack
from examples.stack.styles import Style

from .durations import ended_ms
from .load import ORDER_TIMEOUT_SECONDS

GATED_SERVICE = "payment"
"""The service with the gate of the order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessKill:
    """A process to kill, and the restart.

    Args:
        process: The name of the process, for people.
        kill_and_restart: Kills the process with SIGKILL and starts a new one.
    """

    process: str
    kill_and_restart: Callable[[Stack], Awaitable[None]]


async def _restart_worker(stack: Stack) -> None:
    stack.worker.kill()
    await stack.start_worker()


async def _restart_service(stack: Stack) -> None:
    stack.services[GATED_SERVICE].kill()
    stack.services[GATED_SERVICE].start()
    await stack.wait_for_service(GATED_SERVICE)


KILLS = {
    "orchestrated": ProcessKill(process="the worker", kill_and_restart=_restart_worker),
    "choreographed": ProcessKill(process=f"the {GATED_SERVICE} service", kill_and_restart=_restart_service),
}
"""The process to kill, per style."""


async def measure_recovery(
    style: Style, stack: Stack, databases: ServiceDatabases, *, order_id: str
) -> float:
    """Kills a process while an order waits inside a step, and returns the seconds from the kill to the end.

    The process restarts at once, as with a supervisor, and the gate opens after the restart. The result is
    the time for the style to notice the crash and to continue.
    """
    saga_id = await style.start(an_order(card="tok_capture_gated")(order_id))
    await stack.wait_until_gated(GATED_SERVICE, order_id)
    killed_ms = time.time_ns() / 1e6
    await KILLS[style.name].kill_and_restart(stack)
    await stack.open_gate(GATED_SERVICE, order_id)
    async with asyncio.timeout(ORDER_TIMEOUT_SECONDS):
        await style.wait_until_ended(saga_id)
    databases.refresh()
    return round((ended_ms(databases.steps(saga_id)) - killed_ms) / 1000, 2)
