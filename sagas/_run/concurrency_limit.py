"""The concurrency limit of a run: a Temporal server refuses more than 2,000 open activities of a workflow."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from temporalio import workflow

MOST_UNDER_WAY = 250
"""The most activities and children of a saga that are under way at once, in one run."""
PATCH = "saga-concurrency-limit"
"""The patch id of runs with the limit: a run of an earlier version has started more at once."""


class ConcurrencyLimit:
    """Counts the activities and children under way; the others wait in the order of their start."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(MOST_UNDER_WAY)

    @asynccontextmanager
    async def slot(self) -> AsyncGenerator[None]:
        """Waits for a slot, and holds the slot until the exit.

        Raises:
            asyncio.CancelledError: The task was cancelled during the wait; no slot is held.
        """
        # Only a run that reaches the limit has the marker of the patch in the history.
        is_counted = not self._slots.locked() or workflow.patched(PATCH)
        if is_counted:
            await self._slots.acquire()
        try:
            yield
        finally:
            if is_counted:
                self._slots.release()
