"""Checks of the arguments of a saga's methods, for authors without a type checker."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from .._declarations.names import check_step_key
from .._declarations.step import Action, ConfirmableAction, IrreversibleStep, Step
from .._errors import DefinitionError
from .._messages.external_events import ExpectedEvent

I = TypeVar("I")  # noqa: E741 - what goes in, as in a step


def name_of_call(method: str, argument: object) -> str:
    """The call of a method for error messages: `step 'reserve-stock'`."""
    name = argument.name if isinstance(argument, (Step, Action, ExpectedEvent)) else argument
    return f"{method} {name!r}" if isinstance(name, str) and name else method


def check_step(step: object) -> None:
    """Refuses an argument other than a step or an action.

    Raises:
        DefinitionError: The argument is another object, or an action without the compensation.
    """
    if isinstance(step, ConfirmableAction):
        # The types of the message and the result do not matter here.
        name = step.action.name  # pyright: ignore[reportUnknownMemberType]
        raise DefinitionError(f"{name!r} has a confirmation: add the cancellation with `compensated_by(...)`")
    if not isinstance(step, (Step, Action)):
        raise DefinitionError(f"a step is made by `action(...)`, not {step!r}")


def check_before_pivot(step: Step[Any, Any] | Action[Any, Any]) -> None:
    """Refuses a step whose effect would stay although the saga compensates.

    Raises:
        DefinitionError: The step is irreversible, or an action without an effect class.
    """
    if isinstance(step, Step) and (step.is_read_only or step.compensation is not None):
        return
    kind = "is irreversible" if isinstance(step, IrreversibleStep) else "has no effect class"
    raise DefinitionError(
        f"{step.name!r} {kind}, and the saga is before the pivot: declare the action with "
        "`compensated_by(...)` or `read_only()`, or pass the pivot with the action (`saga.pivot`); a step "
        "whose failure or effect does not matter is a `saga.best_effort`"
    )


def check_pivot(action: object) -> None:
    """Refuses an argument that cannot be the pivot.

    Raises:
        DefinitionError: The argument is a compensatable or read-only step, or no action.
    """
    if isinstance(action, IrreversibleStep):
        return
    if isinstance(action, Step):
        raise DefinitionError(
            f"{action.name!r} is {action.effect.value}, and a pivot is `action(...)` alone or "
            "`action(...).irreversible()`"
        )
    if not isinstance(action, Action):
        raise DefinitionError(f"a pivot is made by `action(...)`, not {action!r}")


def check_expected(expected: object) -> None:
    """Refuses to wait for an argument other than an expected event.

    Raises:
        DefinitionError: The argument was not returned by `expect`.
    """
    if not isinstance(expected, ExpectedEvent):
        raise DefinitionError(f"a saga waits for what `expect(...)` has returned, not for {expected!r}")


def check_key(step: Step[Any, Any] | Action[Any, Any], key: str | None) -> None:
    """Refuses a step key that an address could not contain.

    Raises:
        DefinitionError: The key is malformed.
    """
    if key is not None:
        check_step_key(step.name, key)


def keys_of_items(
    step: Step[Any, Any] | Action[Any, Any], items: Sequence[I], key: Callable[[I], str]
) -> list[str]:
    """The step keys of the items of a `map`, in the same order.

    Raises:
        DefinitionError: A key is malformed, or two items have the same key.
    """
    places: dict[str, int] = {}
    for place, item in enumerate(items):
        of_item = key(item)
        check_step_key(step.name, of_item)
        if (other := places.setdefault(of_item, place)) != place:
            raise DefinitionError(
                f"items {other} and {place} of step {step.name!r} have the same key {of_item!r}: each item "
                "of a map needs a key of its own"
            )
    return list(places)


def items_of(step: Step[Any, Any] | Action[Any, Any], items: Iterable[I]) -> tuple[I, ...]:
    """The items of a `map` in order; refuses sets, whose order another worker does not repeat.

    Raises:
        DefinitionError: `items` is a set.
    """
    if isinstance(items, (set, frozenset)):
        raise DefinitionError(f"the items of step {step.name!r} need an order: give a list, not a set")
    return tuple(items)
