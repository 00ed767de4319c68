"""What a saga was asked for and has not begun: what is never awaited is never done, and nobody says so."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from inspect import CORO_CREATED, getcoroutinestate
from typing import Any, TypeVar, cast

from .._declarations.step import Action, Step
from .._errors import DefinitionError
from .._messages.external_events import ExpectedEvent

ActivitySpec = Coroutine[Any, Any, Any]
M = TypeVar("M", bound=Callable[..., ActivitySpec])


class UnawaitedCalls:
    """The calls of a saga's methods that nobody has awaited yet."""

    def __init__(self) -> None:
        self._calls: list[tuple[str, ActivitySpec]] = []

    def note(self, what: str, call: ActivitySpec) -> None:
        """Keeps a call in mind until it begins."""
        self._calls = [*self._unbegun(), (what, call)]

    async def refuse_forgotten(self) -> None:
        """Refuses what was asked for and never awaited.

        Raises:
            DefinitionError: Something was.
        """
        if self._unbegun():
            # What a task of the workflow's own awaits begins in the next turn.
            await asyncio.sleep(0)
        forgotten = self._unbegun()
        for _, call in forgotten:
            call.close()
        if forgotten:
            names = ", ".join(what for what, _ in forgotten)
            raise DefinitionError(f"never awaited: {names}; write `await` before what a saga is to do")

    def _unbegun(self) -> list[tuple[str, ActivitySpec]]:
        return [(what, call) for what, call in self._calls if getcoroutinestate(call) == CORO_CREATED]


def noted(method: M) -> M:
    """Has a saga keep in mind that a method of it was called, until it is awaited."""

    @wraps(method)
    def ask(saga: Any, *arguments: Any, **named: Any) -> ActivitySpec:
        call = method(saga, *arguments, **named)
        name = named.get("name") or (_name_of(arguments[0]) if arguments else "")
        saga._asked.note(f"{method.__name__} {name!r}" if name else method.__name__, call)
        return call

    # To type checkers, and so to who calls it, it is the coroutine function that it was.
    return cast("M", ask)


def _name_of(what: object) -> str:
    if isinstance(what, (Step, Action, ExpectedEvent)):
        return what.name
    return what if isinstance(what, str) else ""


def check_step(step: object) -> None:
    """Checks that a saga was given a step or an action.

    Raises:
        DefinitionError: The object is neither.
    """
    if not isinstance(step, (Step, Action)):
        raise DefinitionError(f"a step is made by `action(...)`, not {step!r}")


def check_is_step(step: object) -> None:
    """Checks that a step before the pivot has a compensation, or the reason for having none.

    Raises:
        DefinitionError: A bare action was given.
    """
    if isinstance(step, Action):
        raise DefinitionError(
            f"{step.name!r} is no step yet: give it `compensated_by(...)`, say with "
            "`without_compensation(because=...)` why it needs none, or pass the pivot with it"
        )


def check_action(action: object) -> None:
    """Checks that a pivot is a bare action.

    Raises:
        DefinitionError: The object is a step, or not an action.
    """
    if isinstance(action, Step):
        raise DefinitionError(f"{action.name!r} is a step, and a pivot is what `action(...)` alone returns")
    if not isinstance(action, Action):
        raise DefinitionError(f"a pivot is made by `action(...)`, not {action!r}")


def check_expected(expected: object) -> None:
    """Refuses to wait for what is no event.

    Raises:
        DefinitionError: It is none.
    """
    if not isinstance(expected, ExpectedEvent):
        raise DefinitionError(f"a saga waits for what `expect(...)` has returned, not for {expected!r}")
