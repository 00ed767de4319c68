"""Calls of a saga's methods without an await, which would have no effect and raise no error."""

import asyncio
from collections.abc import Coroutine, Iterable
from inspect import CORO_CREATED, getcoroutinestate
from typing import TypeVar

from .._errors import DefinitionError

T = TypeVar("T")


class UnawaitedCalls:
    """The calls of one saga whose coroutines have not begun."""

    def __init__(self) -> None:
        self._calls: list[tuple[str, Coroutine[object, None, object]]] = []

    def track(self, name: str, call: Coroutine[object, None, T]) -> Coroutine[object, None, T]:
        """Remembers a call until the call's coroutine begins, and returns the coroutine.

        Args:
            name: The name of the call, for the error message.
            call: The coroutine.
        """
        self._calls = [*self._not_begun(), (name, call)]
        return call

    def forget(self, calls: Iterable[Coroutine[object, None, object]]) -> None:
        """Forgets calls that another call runs, possibly later, such as the branches of `parallel`."""
        forgotten = set(map(id, calls))
        self._calls = [(name, call) for name, call in self._not_begun() if id(call) not in forgotten]

    async def refuse(self) -> None:
        """Refuses to go on while a call was not awaited.

        Raises:
            DefinitionError: The coroutine of a call has not begun.
        """
        if self._not_begun():
            # A coroutine that another task of the workflow awaits begins in the next turn of the event loop.
            await asyncio.sleep(0)
        forgotten = self._not_begun()
        for _, call in forgotten:
            call.close()
        if forgotten:
            names = ", ".join(name for name, _ in forgotten)
            raise DefinitionError(f"never awaited: {names}; write `await` before each call of a saga")

    def _not_begun(self) -> list[tuple[str, Coroutine[object, None, object]]]:
        return [(name, call) for name, call in self._calls if getcoroutinestate(call) == CORO_CREATED]
