"""The signature from which Temporal decodes the argument of a handler that is set at run time."""

from collections.abc import Callable
from inspect import Parameter, Signature

_ONE_MESSAGE = Signature([Parameter("message", Parameter.POSITIONAL_OR_KEYWORD)])


def declare_message(handler: Callable[..., object], message: object) -> None:
    """Declares the type of one argument for a handler that takes any arguments.

    A signal with another number of arguments must not fail the workflow task, because the server would repeat
    the task forever.
    """
    handler.__annotations__["message"] = message
    handler.__signature__ = _ONE_MESSAGE  # type: ignore[attr-defined]  # as `inspect` offers it
