"""Tasks that have to end."""

import asyncio

PATIENCE = 0.5
"""Seconds after which a task that has not ended is cancelled once more."""


async def end(task: asyncio.Task[None]) -> None:
    """Cancels a task until it has ended.

    Once is not enough where a library may take the cancellation for one of its own, as it does when a
    connection breaks in the same moment; the task would go on, and whoever waits for it would wait for ever.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=PATIENCE)
