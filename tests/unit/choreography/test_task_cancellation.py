"""A task that has to end does, also if a cancellation of it is lost."""

import asyncio

from choreography._messaging.task_cancellation import end


async def test_a_task_that_swallows_a_cancellation_ends_all_the_same() -> None:
    """A library that takes one for its own does not keep us waiting for ever."""
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
        await end(task)

    assert task.cancelled()
    assert swallowed == 2
