"""Gates: test latches for gated requests, a gate per order."""

import asyncio
from collections import defaultdict
from datetime import timedelta

HTTP_GATE_TIMEOUT = timedelta(seconds=60)
"""How long an HTTP request waits at a gate."""


class Gates:
    """A gate per order: closed until opened, and open from then on, also when opened beforehand."""

    def __init__(self) -> None:
        self._opened: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._arrived: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def open(self, order_id: str) -> None:
        """Opens the gate of an order for waiting and for later requests."""
        self._opened[order_id].set()

    async def wait_until_open(self, order_id: str, *, gate_timeout: timedelta = HTTP_GATE_TIMEOUT) -> bool:
        """Waits until the gate of an order is open; returns false after `gate_timeout`."""
        self._arrived[order_id].set()
        return await _is_set(self._opened[order_id], gate_timeout)

    async def wait_for_arrival(self, order_id: str, *, gate_timeout: timedelta = HTTP_GATE_TIMEOUT) -> bool:
        """Waits until a request has arrived at the gate of an order; returns false after `gate_timeout`."""
        return await _is_set(self._arrived[order_id], gate_timeout)


async def _is_set(event: asyncio.Event, gate_timeout: timedelta) -> bool:
    try:
        async with asyncio.timeout(gate_timeout.total_seconds()):
            await event.wait()
    except TimeoutError:
        return False
    return True
