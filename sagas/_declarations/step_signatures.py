"""The signatures of the activities of a step: action, probe, compensation and confirmation."""

from collections.abc import Callable
from typing import Any, cast

from .._core.activity_policy import ActivityPolicy
from .._errors import DefinitionError
from .activity_function import ActivityFunction
from .activity_spec import ActivitySpec
from .operation import Operation
from .probe_result import ProbeResult


def check_action(function: ActivityFunction) -> bool:
    """Whether an action is a method; refuses every signature but one message.

    Raises:
        DefinitionError: The activity has another number of parameters.
    """
    is_method = function.parameters == 2 and function.is_method
    if function.parameters != 1 and not is_method:
        raise DefinitionError(
            f"an action takes one message; {function.activity!r} has {function.parameters} parameters"
        )
    return is_method


def probe_spec(
    probe: Operation[Any, Any] | Callable[..., object], policy: ActivityPolicy, task_queue: str | None
) -> ActivitySpec:
    """The call of a probe.

    Raises:
        DefinitionError: The probe does not return a `ProbeResult`.
    """
    if isinstance(probe, Operation):
        operation = cast("Operation[Any, object]", probe)
        name, result = operation.name, operation.result
    else:
        function = ActivityFunction.of(probe)
        name, result = function.activity, function.result
    # An annotation need not be a class.
    if not (isinstance(cast("object", result), type) and issubclass(result, ProbeResult)):
        raise DefinitionError(f"probe {name!r} must return a ProbeResult, not {result!r}")
    return ActivitySpec(
        activity=name, result=cast("type[object]", result), policy=policy, task_queue=task_queue
    )


def answer_to_action(
    activity: Operation[Any, object] | Callable[..., object], role: str, *, is_of_method: bool
) -> tuple[str, bool]:
    """The activity type of a compensation or confirmation, and whether the activity takes the result.

    Args:
        activity: The compensation or confirmation.
        role: The word for error messages.
        is_of_method: Whether the action is a method.

    Raises:
        DefinitionError: The activity has other parameters than the message and the result of the action.
    """
    if isinstance(activity, Operation):
        return activity.name, False
    function = ActivityFunction.of(activity)
    # A static method looks like a method without `self`: the action decides.
    has_instance = function.has_self or (is_of_method and function.is_method)
    count = function.parameters - has_instance
    if count not in (1, 2):
        raise DefinitionError(
            f"{role} {function.activity!r} takes the message of the action, and optionally the result"
        )
    return function.activity, count == 2
