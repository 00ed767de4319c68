"""A cancelled task ends even if a cancellation is lost."""

import asyncio

from choreography._messaging.task_cancellation import cancel_and_wait


async def test_a_task_that_swallows_a_cancellation_is_cancelled_again() -> None:
    """A library may swallow a cancellation without blocking the caller for ever."""
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while swallowed < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed += 1
        await asyncio.Event().wait()

    task = asyncio.create_task(stubborn())
    await asyncio.wait([task], timeout=0)

    async with asyncio.timeout(10):
        await cancel_and_wait(task)

    assert task.cancelled()
    assert swallowed == 2
