"""The signature of a function or method that is decorated as an activity."""

from collections.abc import Callable
from dataclasses import dataclass
from inspect import ismethod, signature
from typing import Any, Self, cast

from temporalio.activity import _Definition as ActivityDefinition  # pyright: ignore[reportPrivateUsage]

from .._errors import DefinitionError

UNTYPED = cast("type[object]", Any)
"""The result type of an activity without a return annotation; Temporal then decodes plain JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityFunction:
    """The signature of an activity.

    Args:
        activity: The activity type.
        result: The type of the result.
        parameters: The number of parameters, including `self`.
        has_self: Whether the activity is a method whose first parameter is called `self`.
        is_method: Whether the activity is a method of a class: the worker supplies the instance.
    """

    activity: str
    result: type[object]
    parameters: int
    has_self: bool
    is_method: bool

    @classmethod
    def of(cls, function: Callable[..., object]) -> Self:
        """Reads the signature.

        Raises:
            DefinitionError: The function is not decorated with `@activity.defn`, or is a dynamic activity.
        """
        # Temporal types decorated functions loosely.
        definition = ActivityDefinition.from_callable(function)  # pyright: ignore[reportUnknownMemberType]
        if definition is None or definition.name is None:
            raise DefinitionError(
                f"{getattr(function, '__qualname__', function)!r} is not an activity: decorate the function "
                "with @activity.defn"
            )
        parameters = list(signature(function).parameters)
        is_bound = ismethod(function)
        _, owner, _ = f"..{getattr(function, '__qualname__', '')}".rsplit(".", 2)
        has_self = not is_bound and parameters[:1] == ["self"]
        return cls(
            activity=definition.name,
            result=definition.ret_type or UNTYPED,
            parameters=len(parameters),
            has_self=has_self,
            # A decorator may give a method the name of a function of its own.
            is_method=has_self or (not is_bound and owner not in ("", "<locals>")),
        )
