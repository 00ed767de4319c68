"""Options of an activity, in Temporal's words."""

from dataclasses import dataclass, field, replace
from datetime import timedelta

from temporalio.common import Priority, RetryPolicy

from .._core.activity_policy import (
    LARGEST_BACKOFF,
    LARGEST_WEIGHT,
    LONGEST_FAIRNESS_KEY,
    LOWEST_PRIORITY,
    MOST_ATTEMPTS,
    SCHEDULE_TO_START,
    SMALLEST_WEIGHT,
    ActivityPolicy,
)
from .._errors import DefinitionError
from .option_checks import check_count, check_list_of_names, check_number, check_text, check_timeout, refusal

UNLIMITED = (
    "retry_policy.maximum_attempts must be set, or a schedule_to_close_timeout: with unlimited attempts "
    "(maximum_attempts=0, the default of RetryPolicy) and without the timeout, the outcome of a failing "
    "action would never become unknown, so the saga would never compensate"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityOptions:
    """Timeouts, retries, priority and task queue of an action or a compensation.

    A step before the pivot ends with an unknown outcome after `retry_policy.maximum_attempts` attempts or
    after `schedule_to_close_timeout`. Compensations, the pivot and steps after the pivot have to succeed:
    there the two options limit one round, after which the saga is marked as stuck and starts another round.

    Args:
        start_to_close_timeout: The longest duration of one attempt. A later result is ignored, and the
            attempt has an unknown outcome.
        schedule_to_start_timeout: For compensations, a pivot in doubt, steps after the pivot and the probes
            of these: the longest wait for a worker in the first round; later rounds wait longer, up to an
            hour. A step before the pivot, and a pivot without any attempt, ignore the option and wait for a
            worker until `schedule_to_close_timeout`.
        schedule_to_close_timeout: The longest duration of all attempts together, including intervals and the
            wait for a worker. By default a step before the pivot has no such limit, and a round ends after
            the longest duration of all attempts, or after `schedule_to_start_timeout` and one attempt,
            whichever is later, at the latest after 30 days.
        heartbeat_timeout: The longest interval between two heartbeats. By default a crashed worker is
            noticed after `start_to_close_timeout`.
        retry_policy: The attempts and the intervals between attempts; the values are copied. By default 5
            attempts for an action and 4 for a compensation, with intervals of 1 s, 2 s, 4 s ... 30 s.
            Without `maximum_interval` the longest interval is 30 s, or `initial_interval` where longer.
            Unlimited attempts (`maximum_attempts=0`, the default of `RetryPolicy`) need a
            `schedule_to_close_timeout`. An error of one of the `non_retryable_error_types` ends the attempts
            with an unknown outcome, unless `rejections` contains the type.
        priority: The priority key, 1 (first) to 5, the fairness key and the fairness weight, for task queues
            with a backlog. By default the priority of the workflow.
        task_queue: The task queue of the workers. By default an action has the task queue of the saga, and a
            compensation the task queue of the action.

    Raises:
        DefinitionError: An option has a wrong type or is out of range.
    """

    start_to_close_timeout: timedelta = timedelta(seconds=10)
    schedule_to_start_timeout: timedelta = SCHEDULE_TO_START
    schedule_to_close_timeout: timedelta | None = None
    heartbeat_timeout: timedelta | None = None
    # `RetryPolicy` has no hash.
    retry_policy: RetryPolicy | None = field(default=None, hash=False)
    priority: Priority | None = None
    task_queue: str | None = None

    def __post_init__(self) -> None:
        check_timeout("start_to_close_timeout", self.start_to_close_timeout)
        check_timeout("schedule_to_start_timeout", self.schedule_to_start_timeout)
        for name in ("schedule_to_close_timeout", "heartbeat_timeout"):
            if (value := getattr(self, name)) is not None:
                check_timeout(name, value)
        if self.retry_policy is not None:
            object.__setattr__(self, "retry_policy", _copy_of(self.retry_policy))
            if self.retry_policy.maximum_attempts == 0 and self.schedule_to_close_timeout is None:
                raise DefinitionError(UNLIMITED)
        if self.priority is not None:
            _check_priority(self.priority)
        if self.task_queue is not None:
            check_text("task_queue", self.task_queue)


def policy_of(options: object, default: ActivityPolicy) -> ActivityPolicy:
    """The options in the form that headers and memos store.

    Args:
        options: The `ActivityOptions` of an action or a compensation.
        default: The policy whose attempts apply without a `retry_policy`.

    Raises:
        DefinitionError: `options` is not an `ActivityOptions`.
    """
    if not isinstance(options, ActivityOptions):
        raise refusal("options", "an ActivityOptions", options)
    retry = options.retry_policy or RetryPolicy(maximum_attempts=default.maximum_attempts)
    priority = options.priority or Priority()
    return ActivityPolicy(
        start_to_close_timeout=options.start_to_close_timeout,
        maximum_attempts=retry.maximum_attempts or MOST_ATTEMPTS,
        initial_interval=retry.initial_interval,
        backoff_coefficient=retry.backoff_coefficient,
        maximum_interval=retry.maximum_interval or max(default.maximum_interval, retry.initial_interval),
        heartbeat_timeout=options.heartbeat_timeout,
        schedule_to_close_timeout=options.schedule_to_close_timeout,
        schedule_to_start_timeout=options.schedule_to_start_timeout,
        priority_key=priority.priority_key,
        non_retryable_error_types=tuple(retry.non_retryable_error_types or ()),
        fairness_key=priority.fairness_key,
        fairness_weight=priority.fairness_weight,
    )


def _copy_of(policy: object) -> RetryPolicy:
    """A copy of a retry policy, as the caller may go on to change the policy."""
    if not isinstance(policy, RetryPolicy):
        raise refusal("retry_policy", "a temporalio.common.RetryPolicy", policy)
    check_timeout("retry_policy.initial_interval", policy.initial_interval)
    if policy.maximum_interval is not None:
        check_timeout("retry_policy.maximum_interval", policy.maximum_interval)
        if policy.initial_interval > policy.maximum_interval:
            raise DefinitionError(
                f"retry_policy.initial_interval ({policy.initial_interval}) must not be above "
                f"maximum_interval ({policy.maximum_interval})"
            )
    check_number("retry_policy.backoff_coefficient", policy.backoff_coefficient, 1, LARGEST_BACKOFF)
    check_count("retry_policy.maximum_attempts", policy.maximum_attempts, 0, MOST_ATTEMPTS)
    types = policy.non_retryable_error_types
    if types is not None:
        types = check_list_of_names("retry_policy.non_retryable_error_types", types)
    return replace(policy, non_retryable_error_types=types)


def _check_priority(priority: object) -> None:
    if not isinstance(priority, Priority):
        raise refusal("priority", "a temporalio.common.Priority", priority)
    if priority.priority_key is not None:
        check_count("priority.priority_key", priority.priority_key, 1, LOWEST_PRIORITY)
    if priority.fairness_key is not None:
        check_text("priority.fairness_key", priority.fairness_key, LONGEST_FAIRNESS_KEY)
    if priority.fairness_weight is not None:
        check_number("priority.fairness_weight", priority.fairness_weight, SMALLEST_WEIGHT, LARGEST_WEIGHT)
