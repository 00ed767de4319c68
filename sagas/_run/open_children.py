"""The open children of a saga: held and resumed with the saga, and cancelled when the saga compensates.

Independent sagas are cancelled in the same way, and are not held: an operator holds an independent saga by
the id of that saga.

A hold reaches the children as signals; the signal to a child that has not started is delivered after the
start. A child does not pass the signal to `authorize`: the check may change between releases, and a signal is
handled again in each replay.
"""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from temporalio import workflow
from temporalio.exceptions import FailureError

from .._core.lifecycle import Lifecycle, Phase
from .._wire.error_text import error_text
from .._wire.operator_requests import HOLD, OperatorRequest

ChildHandle = workflow.ChildWorkflowHandle[Any, Any]


class OpenChildren:
    """Passes verbs and cancels of a saga on to the saga's open children.

    Args:
        lifecycle: The lifecycle of the saga.
    """

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle
        self._open: dict[str, ChildHandle] = {}
        self._cancelled: set[str] = set()
        self._independent: set[str] = set()
        self._hold_note: OperatorRequest | None = None
        self._sending = asyncio.Lock()

    @contextmanager
    def with_child(self, child: ChildHandle, *, is_independent: bool = False) -> Generator[None]:
        """Counts a child as open; cancels the child if the saga started compensating meanwhile."""
        self._open[child.id] = child
        if is_independent:
            self._independent.add(child.id)
        if self._lifecycle.phase is Phase.COMPENSATING:
            self.cancel(child)
        try:
            yield
        finally:
            del self._open[child.id]

    def cancel(self, child: ChildHandle) -> None:
        """Cancels a child at most once: each cancel is an event in two histories."""
        if child.id not in self._cancelled:
            self._cancelled.add(child.id)
            child.cancel()

    def cancel_all(self) -> None:
        """Cancels every open child."""
        for child in tuple(self._open.values()):
            self.cancel(child)

    async def pass_on_hold(self, child: ChildHandle) -> None:
        """Holds a child that was starting when the saga was held."""
        async with self._sending:
            if self._lifecycle.is_held and self._hold_note is not None:
                await _send(child, HOLD, self._hold_note)

    async def pass_on(self, verb: str, note: OperatorRequest) -> None:
        """Sends a verb to all open children in sequence; returns when all children have received the verb."""
        self._hold_note = note if verb == HOLD else None
        async with self._sending:
            for child in [each for each in self._open.values() if each.id not in self._independent]:
                await _send(child, verb, note)


async def _send(child: ChildHandle, verb: str, note: OperatorRequest) -> None:
    try:
        await child.signal(verb, note)
    except FailureError as error:
        workflow.logger.info("child %s did not receive %s: %s", child.id, verb, error_text(error))
