"""Polling for conditions that no event announces."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

INTERVAL = timedelta(milliseconds=20)


async def poll_until(
    condition: Callable[[], bool] | Callable[[], Awaitable[bool]],
    *,
    timeout: timedelta | None = None,
    interval: timedelta = INTERVAL,
) -> bool:
    """Checks a condition again and again until the condition holds or the timeout has passed.

    Returns:
        Whether the condition holds. The condition is checked at least once.
    """
    deadline = None if timeout is None else time.monotonic() + timeout.total_seconds()
    while True:
        result = condition()
        if result if isinstance(result, bool) else await result:
            return True
        if deadline is not None and time.monotonic() > deadline:
            return False
        await asyncio.sleep(interval.total_seconds())
