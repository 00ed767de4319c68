"""Matching of received arguments with the parameters of workflows, signal handlers and update handlers."""

from collections.abc import Callable, Sequence
from inspect import isfunction, signature
from typing import Any, cast

from pydantic import BaseModel
from temporalio import workflow
from temporalio.exceptions import ApplicationError
from temporalio.worker import HandleSignalInput, HandleUpdateInput
from temporalio.workflow import _Definition as WorkflowDefinition  # pyright: ignore[reportPrivateUsage]

from .._wire.failures import SAGA_REFUSED

FindHandler = Callable[[str], object]
# Temporal types handlers loosely.
find_signal_handler = cast("FindHandler", workflow.get_signal_handler)  # pyright: ignore[reportUnknownMemberType]
find_update_handler = cast("FindHandler", workflow.get_update_handler)  # pyright: ignore[reportUnknownMemberType]


def signal_mismatch(sent: HandleSignalInput) -> str:
    """Returns the reason why a signal cannot be handled, or an empty text."""
    defined = _own_definition().signals.get(sent.signal)
    if defined is None or _is_set(find_signal_handler, sent.signal):
        return ""
    return argument_mismatch(defined.fn, (), sent.args)


def check_update_arguments(sent: HandleUpdateInput) -> None:
    """Refuses an update whose arguments do not match the parameters of the update handler.

    Raises:
        ApplicationError: The update has more or fewer arguments than the handler has parameters.
    """
    defined = _own_definition().updates.get(sent.update)
    if defined is None or _is_set(find_update_handler, sent.update):
        return
    if why := argument_mismatch(defined.fn, (), sent.args):
        raise ApplicationError(
            f"update {sent.update!r} is refused: {why}", type=SAGA_REFUSED, non_retryable=True
        )


def _own_definition() -> WorkflowDefinition:
    return WorkflowDefinition.must_from_class(cast("type[Any]", workflow.instance().__class__))


def _is_set(find: FindHandler, name: str) -> bool:
    """Whether the handler was set at run time; a handler set at run time checks the arguments."""
    # Temporal binds a decorated method anew at each lookup, but returns a handler set at run time unchanged.
    return find(name) is find(name)


def argument_mismatch(method: Callable[..., Any], kinds: Sequence[object], args: Sequence[object]) -> str:
    """Returns the reason why a method cannot be called with the arguments, or an empty text."""
    try:
        if not _takes_so_many(method, len(args)):
            # A decorator may add arguments.
            signature(method, follow_wrapped=False).bind(None, *args)
    except TypeError as error:
        return str(error)
    for kind, value in zip(kinds, args, strict=False):
        # Null payloads, binary payloads and surplus arguments are decoded without regard to the declared
        # type.
        if isinstance(kind, type) and issubclass(kind, BaseModel) and not isinstance(value, kind):
            return f"{kind.__name__} is wanted, and {'null' if value is None else type(value).__name__} came"
    return ""


def _takes_so_many(method: Callable[..., Any], count: int) -> bool:
    """Whether the code object takes `count` arguments; ten times faster than binding the arguments."""
    if not isfunction(method):
        return False
    return method.__code__.co_argcount == 1 + count and not method.__code__.co_kwonlyargcount
