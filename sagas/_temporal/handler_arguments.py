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
    """Why a signal cannot be handled, in words; nothing where it can."""
    defined = _own_definition().signals.get(sent.signal)
    if defined is None or _is_set(find_signal_handler, sent.signal):
        return ""
    return argument_mismatch(defined.fn, (), sent.args)


def check_update_arguments(sent: HandleUpdateInput) -> None:
    """Refuses an update that its handler does not take, to who has asked.

    Raises:
        ApplicationError: It has more arguments, or fewer.
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
    """Whether the workflow has set a handler in its method's place, which looks for itself."""
    # Temporal binds a method anew each time that it is asked for it.
    return find(name) is find(name)


def argument_mismatch(method: Callable[..., Any], kinds: Sequence[object], args: Sequence[object]) -> str:
    """Why a method cannot be called with these arguments, in words; nothing where it can."""
    try:
        if not _takes_so_many(method, len(args)):
            # A decorator may add arguments of its own.
            signature(method, follow_wrapped=False).bind(None, *args)
    except TypeError as error:
        return str(error)
    for kind, value in zip(kinds, args, strict=False):
        # Null and binary payloads are read without regard to the type, as are others than it takes in all.
        if isinstance(kind, type) and issubclass(kind, BaseModel) and not isinstance(value, kind):
            return f"{kind.__name__} is wanted, and {'null' if value is None else type(value).__name__} came"
    return ""


def _takes_so_many(method: Callable[..., Any], count: int) -> bool:
    """Whether that is plain from its code, as it is of nearly all; to bind them takes ten times as long."""
    if not isfunction(method):
        return False
    return method.__code__.co_argcount == 1 + count and not method.__code__.co_kwonlyargcount
