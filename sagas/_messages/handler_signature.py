"""The signature under which Temporal decodes the argument of a dynamic handler."""

from collections.abc import Callable
from inspect import Parameter, Signature

_ONE_MESSAGE = Signature([Parameter("message", Parameter.POSITIONAL_OR_KEYWORD)])


def takes(handler: Callable[..., object], message: object) -> None:
    """Has Temporal read one message of this type for a handler, which can be called with anything.

    A signal with another number of arguments must not fail the workflow's task, which would be tried again
    without end.
    """
    handler.__annotations__["message"] = message
    handler.__signature__ = _ONE_MESSAGE  # type: ignore[attr-defined]  # as `inspect` offers it
