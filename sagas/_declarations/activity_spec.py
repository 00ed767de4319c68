"""The specification of the activity of an action."""

from dataclasses import dataclass

from .._core.activity_policy import ActivityPolicy


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
    """

    activity: str
    result: type[object] | None
    policy: ActivityPolicy
    rejections: frozenset[str] = frozenset()
    task_queue: str | None = None
    probe: "ActivitySpec | None" = None
