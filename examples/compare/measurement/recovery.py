"""How long a saga takes to its end when a process that works for it is killed in the middle."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from examples.compare.measurement.run import PATIENCE, ended_ms
from examples.order.scenarios import an_order
from examples.stack.service_databases import Records
from examples.stack.stack import Stack
from examples.stack.styles import Style

OWNER = "payment"
"""The service in which the order waits at its gate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """Which process is killed, and how another one takes its place.

    Args:
        of: What people call it.
        kill: Kills it as a crash would, and starts it again.
    """

    of: str
    kill: Callable[[Stack], Awaitable[None]]


async def _worker(stack: Stack) -> None:
    stack.worker.kill()
    await stack.start_worker()


async def _owner(stack: Stack) -> None:
    stack.services[OWNER].kill()
    stack.services[OWNER].start()
    await stack.wait_for_service(OWNER)


DEATHS = {
    "orchestrated": Death(of="the worker", kill=_worker),
    "choreographed": Death(of=f"the {OWNER} service", kill=_owner),
}
"""What each style depends on while a saga is under way."""


async def recover(style: Style, stack: Stack, records: Records, *, order_id: str) -> float:
    """Kills a process while an order waits inside it, and returns the seconds from then to the order's end.

    It is started again at once, as a supervisor would, and the gate opens when it is back. So this is what
    the style itself needs to notice, and to go on.
    """
    saga_id = await style.place(an_order(card="tok_capture_gated")(order_id))
    await stack.until_gated(OWNER, order_id)
    killed_ms = time.time_ns() / 1e6
    await DEATHS[style.name].kill(stack)
    await stack.open_gate(OWNER, order_id)
    async with asyncio.timeout(PATIENCE):
        await style.until_ended(saga_id)
    records.refresh()
    return round((ended_ms(records.steps(saga_id)) - killed_ms) / 1000, 2)
