"""The children that a saga has open: they are held with it, resumed with it, and turn round with it.

Of a hold they hear by signals, which wait for a child that has not begun. Such a signal is not checked as the
request of an operator is: a check may change, and a signal is handled again in each replay.
"""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from temporalio import workflow
from temporalio.exceptions import FailureError

from .._wire.operator_requests import HOLD, OperatorRequest


class OpenChildren:
    """Passes on to the open children of a saga what was asked of it."""

    def __init__(self) -> None:
        self._open: dict[str, workflow.ChildWorkflowHandle[Any, Any]] = {}
        self._held: OperatorRequest | None = None
        self._is_turning = False
        self._cancelled: set[str] = set()
        self._turn = asyncio.Lock()

    @contextmanager
    def with_child(self, child: workflow.ChildWorkflowHandle[Any, Any]) -> Generator[None]:
        """Counts a child among the open ones; cancels it, where its parent turned round while it started."""
        self._open[child.id] = child
        if self._is_turning:
            self.cancel(child)
        try:
            yield
        finally:
            del self._open[child.id]

    def cancel(self, child: workflow.ChildWorkflowHandle[Any, Any]) -> None:
        """Cancels a child, once: each cancel would be an event of both."""
        if child.id not in self._cancelled:
            self._cancelled.add(child.id)
            child.cancel()

    def cancel_all(self) -> None:
        """Cancels all of them, as their parent turns round; it holds nothing any more."""
        self._is_turning, self._held = True, None
        for child in tuple(self._open.values()):
            self.cancel(child)

    async def catch_up(self, child: workflow.ChildWorkflowHandle[Any, Any]) -> None:
        """Tells a child that was under way to its start when its parent was held."""
        async with self._turn:
            if self._held is not None:
                await _tell(child, HOLD, self._held)

    async def tell(self, verb: str, note: OperatorRequest) -> None:
        """Tells all of them, one request after the other; returns when they have been told."""
        self._held = note if verb == HOLD else None
        async with self._turn:
            for child in tuple(self._open.values()):
                await _tell(child, verb, note)


async def _tell(child: workflow.ChildWorkflowHandle[Any, Any], verb: str, note: OperatorRequest) -> None:
    try:
        await child.signal(verb, note)
    except FailureError as error:
        workflow.logger.info("%s has not heard %s: %s", child.id, verb, error)
