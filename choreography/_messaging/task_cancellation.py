"""Cancels a task and waits until the task has finished."""

import asyncio

CANCEL_INTERVAL = 0.5
"""Seconds after which a task that is still running is cancelled again."""


async def cancel_and_wait(task: asyncio.Task[None]) -> None:
    """Cancels a task until the task has finished.

    A single cancellation can get lost: a library may mistake the cancellation for an internal cancellation
    when a connection breaks at the same moment. The task would continue, and the caller would wait for ever.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=CANCEL_INTERVAL)
