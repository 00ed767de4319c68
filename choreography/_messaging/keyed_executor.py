"""Lanes: the items of one key in turn, those of different keys side by side."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Lanes(Generic[T]):
    """Runs items of one key one after the other, in the order in which they came.

    How many keys run at once is bounded by who puts items in: a broker's prefetch, for example.

    Args:
        run: What is done with an item; it has to deal with its own errors.
    """

    def __init__(self, run: Callable[[T], Awaitable[None]]) -> None:
        self._run = run
        self._waiting: dict[str, deque[T]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._is_open = True

    def put(self, key: str, item: T) -> None:
        """Adds an item at the end of its lane; after `close`, it is forgotten."""
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
        """Waits for the items that run, and forgets those that wait; when cancelled, it cancels what runs."""
        self._is_open = False
        try:
            while self._running:
                await asyncio.wait(self._running)
        finally:
            for task in self._running:
                task.cancel()

    async def _drain(self, key: str) -> None:
        lane = self._waiting[key]
        try:
            while lane and self._is_open:
                await self._run(lane.popleft())
        finally:
            del self._waiting[key]
