"""Runs items with equal keys sequentially, and items with different keys concurrently."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class KeyedExecutor(Generic[T]):
    """Runs the items of a key sequentially, in the order of submission.

    The caller bounds the number of concurrent keys, for example by the prefetch count of a broker.

    Args:
        run: Processes an item; must handle all errors.
    """

    def __init__(self, run: Callable[[T], Awaitable[None]]) -> None:
        self._run = run
        self._waiting: dict[str, deque[T]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._is_open = True

    def submit(self, key: str, item: T) -> None:
        """Queues an item behind the items with the same key; after `close`, the item is dropped."""
        if not self._is_open:
            return
        if key in self._waiting:
            self._waiting[key].append(item)
            return
        self._waiting[key] = deque([item])
        task = asyncio.create_task(self._drain(key))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """Drops waiting items and waits for running items; a cancelled `close` cancels the running items."""
        self._is_open = False
        try:
            while self._running:
                await asyncio.wait(self._running)
        finally:
            for task in self._running:
                task.cancel()

    async def _drain(self, key: str) -> None:
        items = self._waiting[key]
        try:
            while items and self._is_open:
                await self._run(items.popleft())
        finally:
            del self._waiting[key]
