"""The specification of the activity of an action."""

from collections.abc import Callable
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any

from .._core.activity_policy import ActivityPolicy
from .option_checks import refusal

# `Any`: the function takes the result of its action.
Judgement = Callable[[Any], bool | str | None]
"""Returns the code of the rejection, or `True` for the code `rejected`; otherwise `False` or `None`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivitySpec:
    """The specification of one activity.

    Args:
        activity: The activity type.
        result: The type of the result; `None` if the result is not read.
        policy: Timeouts and retries.
        rejections: The error types, besides `RejectedError`, that reject the action.
        task_queue: The task queue of the workers, where different from the task queue of the saga.
        probe: The activity that reports the outcome of the action.
        rejected_when: Whether a result means that the action is rejected, or the code of the rejection.
    """

    activity: str
    result: type[object] | None
    policy: ActivityPolicy
    rejections: frozenset[str] = frozenset()
    task_queue: str | None = None
    probe: "ActivitySpec | None" = None
    rejected_when: Judgement | None = None


def check_judgement(function: object) -> None:
    """Refuses a `rejected_when` that the workflow could not call.

    Raises:
        DefinitionError: The function is not callable, or a coroutine function.
    """
    if function is not None and (not callable(function) or iscoroutinefunction(function)):
        raise refusal("rejected_when", "a function without `async`", function)
