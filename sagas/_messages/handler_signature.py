"""The signature under which Temporal decodes the argument of a handler that is set in code."""

from collections.abc import Callable
from inspect import Parameter, Signature

_ONE_MESSAGE = Signature([Parameter("message", Parameter.POSITIONAL_OR_KEYWORD)])


def declare_message(handler: Callable[..., object], message: object) -> None:
    """Has Temporal decode one argument as `message` for a handler that takes any arguments.

    A signal with another number of arguments must not fail the workflow task, which the server would repeat
    without end.
    """
    handler.__annotations__["message"] = message
    handler.__signature__ = _ONE_MESSAGE  # type: ignore[attr-defined]  # as `inspect` offers it
