"""Options in Temporal's words: checked when constructed, and translated into the stored policy."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from temporalio.common import Priority, RetryPolicy

from sagas import ActivityOptions, DefinitionError
from sagas._core.activity_policy import ACTION_POLICY, COMPENSATION_POLICY, MOST_ATTEMPTS, ActivityPolicy
from sagas._declarations.activity_options import policy_of

ZERO = timedelta(0)
SECOND = timedelta(seconds=1)
LONGER = timedelta(days=30, microseconds=1)
TIMEOUTS = (
    "start_to_close_timeout",
    "schedule_to_start_timeout",
    "schedule_to_close_timeout",
    "heartbeat_timeout",
)


def retry(**options: Any) -> RetryPolicy:
    """A retry policy with a limited number of attempts."""
    return RetryPolicy(**{"maximum_attempts": 3, **options})


@pytest.mark.parametrize("wrong", [ZERO, -SECOND, LONGER, 5, 5.0, "5", True, SECOND.total_seconds])
@pytest.mark.parametrize("option", TIMEOUTS)
def test_wrong_timeout_is_refused_by_name(option: str, wrong: Any) -> None:
    """The message names the option, the allowed values and the value."""
    with pytest.raises(
        DefinitionError, match=f"^{option} must be a timedelta above 0 and at most 30 days, not "
    ):
        ActivityOptions(**{option: wrong})


@pytest.mark.parametrize("option", ["start_to_close_timeout", "schedule_to_start_timeout"])
def test_missing_timeout_is_refused_by_name(option: str) -> None:
    """Every attempt ends, and every saga without workers is marked as stuck."""
    with pytest.raises(DefinitionError, match=f"{option} must be .*, not None"):
        ActivityOptions(**{option: None})  # type: ignore[arg-type] # the type checker refuses None as well


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (3, "retry_policy must be a temporalio.common.RetryPolicy, not 3"),
        (ACTION_POLICY, "retry_policy must be a temporalio.common.RetryPolicy"),
        (retry(initial_interval=ZERO), "retry_policy.initial_interval must be a timedelta above 0"),
        (retry(initial_interval=1), "retry_policy.initial_interval must be a timedelta .*, not 1"),
        (retry(initial_interval=None), "retry_policy.initial_interval must be a timedelta .*, not None"),
        (retry(maximum_interval=ZERO), "retry_policy.maximum_interval must be a timedelta above 0"),
        (
            retry(maximum_interval=LONGER),
            "retry_policy.maximum_interval must be .* at most 30 days, not 30 days",
        ),
        (retry(maximum_interval="1s"), "retry_policy.maximum_interval must be a timedelta .*, not '1s'"),
        (
            retry(initial_interval=2 * SECOND, maximum_interval=SECOND),
            r"retry_policy.initial_interval \(0:00:02\) must not be above maximum_interval \(0:00:01\)",
        ),
        (
            retry(backoff_coefficient=0.99),
            "retry_policy.backoff_coefficient must be a number from 1 to 100, not 0.99",
        ),
        (retry(backoff_coefficient=100.1), "retry_policy.backoff_coefficient must be a number from 1 to 100"),
        (retry(backoff_coefficient=float("nan")), "retry_policy.backoff_coefficient must be .*, not nan"),
        (retry(backoff_coefficient=float("inf")), "retry_policy.backoff_coefficient must be .*, not inf"),
        (retry(backoff_coefficient=True), "retry_policy.backoff_coefficient must be a number .*, not True"),
        (retry(backoff_coefficient="2"), "retry_policy.backoff_coefficient must be a number .*, not '2'"),
        (retry(backoff_coefficient=None), "retry_policy.backoff_coefficient must be a number .*, not None"),
        (
            retry(maximum_attempts=-1),
            "retry_policy.maximum_attempts must be an int from 0 to 2147483647, not -1",
        ),
        (retry(maximum_attempts=2**31), "retry_policy.maximum_attempts must be an int from 0"),
        (retry(maximum_attempts=2.0), "retry_policy.maximum_attempts must be an int .*, not 2.0"),
        (retry(maximum_attempts=True), "retry_policy.maximum_attempts must be an int .*, not True"),
        (retry(maximum_attempts="3"), "retry_policy.maximum_attempts must be an int .*, not '3'"),
        (retry(maximum_attempts=None), "retry_policy.maximum_attempts must be an int .*, not None"),
        (
            retry(non_retryable_error_types="NoSeat"),
            "retry_policy.non_retryable_error_types must be a list of names, not 'NoSeat'",
        ),
        (
            retry(non_retryable_error_types=[ValueError]),
            "retry_policy.non_retryable_error_types must be a list of names",
        ),
        (retry(non_retryable_error_types=[" "]), "retry_policy.non_retryable_error_types must be a list of"),
        (retry(non_retryable_error_types=7), "retry_policy.non_retryable_error_types must be .*, not 7"),
    ],
    ids=str,
)
def test_wrong_retry_policy_is_refused_by_name(wrong: Any, message: str) -> None:
    """Temporal's own class takes every value, and a workflow task would fail on the value for ever."""
    with pytest.raises(DefinitionError, match=message):
        ActivityOptions(retry_policy=wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (1, "priority must be a temporalio.common.Priority, not 1"),
        (Priority(priority_key=6), "priority.priority_key must be an int from 1 to 5, not 6"),
        (Priority(priority_key=True), "priority.priority_key must be an int from 1 to 5, not True"),
        (Priority(fairness_key=""), "priority.fairness_key must be text of 1 to 64 bytes, not ''"),
        (Priority(fairness_key="ä" * 33), "priority.fairness_key must be text of 1 to 64 bytes"),
        (Priority(fairness_key=7), "priority.fairness_key must be text of 1 to 64 bytes, not 7"),  # type: ignore[arg-type] # wrong on purpose
        (Priority(fairness_weight=0), "priority.fairness_weight must be a number from 0.001 to 1000, not 0"),
        (Priority(fairness_weight=1_001), "priority.fairness_weight must be a number from 0.001 to 1000"),
        (Priority(fairness_weight=True), "priority.fairness_weight must be a number .*, not True"),
    ],
    ids=str,
)
def test_wrong_priority_is_refused_by_name(wrong: Any, message: str) -> None:
    """The server would replace or refuse the value later."""
    with pytest.raises(DefinitionError, match=message):
        ActivityOptions(priority=wrong)


@pytest.mark.parametrize("wrong", ["", "  ", 7, True, b"cinema"])
def test_wrong_task_queue_is_refused_by_name(wrong: Any) -> None:
    """No worker would ever poll the task queue."""
    with pytest.raises(DefinitionError, match="task_queue must be text that is not blank, not "):
        ActivityOptions(task_queue=wrong)


@pytest.mark.parametrize(
    "limit",
    [
        {"start_to_close_timeout": timedelta(days=30)},
        {"start_to_close_timeout": timedelta(microseconds=1)},
        {"schedule_to_close_timeout": timedelta(days=30)},
        {"schedule_to_close_timeout": None},
        {"heartbeat_timeout": SECOND},
        {"retry_policy": None},
        {"retry_policy": retry(maximum_attempts=1)},
        {"retry_policy": retry(maximum_attempts=MOST_ATTEMPTS)},
        {"retry_policy": retry(backoff_coefficient=1)},
        {"retry_policy": retry(backoff_coefficient=100.0)},
        {"retry_policy": retry(initial_interval=SECOND, maximum_interval=SECOND)},
        {"retry_policy": retry(non_retryable_error_types=[])},
        {"priority": None},
        {"priority": Priority()},
        {"priority": Priority(priority_key=1, fairness_key="ä" * 32, fairness_weight=0.001)},
        {"priority": Priority(priority_key=5, fairness_key="a", fairness_weight=1_000)},
    ],
    ids=str,
)
def test_options_at_the_limits_are_taken(limit: dict[str, Any]) -> None:
    """A limit belongs to the allowed values."""
    assert policy_of(ActivityOptions(**limit), ACTION_POLICY)


@pytest.mark.parametrize(
    "unlimited", [RetryPolicy(), RetryPolicy(maximum_attempts=0, maximum_interval=SECOND)]
)
def test_unlimited_attempts_need_a_schedule_to_close_timeout(unlimited: RetryPolicy) -> None:
    """The message says why: the saga would never compensate."""
    with pytest.raises(
        DefinitionError,
        match=r"maximum_attempts must be set, or a schedule_to_close_timeout.*"
        "the outcome of a failing action would never become unknown, so the saga would never compensate",
    ):
        ActivityOptions(retry_policy=unlimited)

    options = ActivityOptions(retry_policy=unlimited, schedule_to_close_timeout=timedelta(minutes=5))

    policy = policy_of(options, ACTION_POLICY)
    assert (policy.maximum_attempts, policy.schedule_to_close_timeout) == (
        MOST_ATTEMPTS,
        timedelta(minutes=5),
    )


def test_defaults_are_those_of_actions_and_of_compensations() -> None:
    """10 s, intervals of 1 s to 30 s, 45 s until a worker comes; 5 attempts, or 4 of a compensation."""
    assert policy_of(ActivityOptions(), ACTION_POLICY) == ActivityPolicy(maximum_attempts=5)
    assert policy_of(ActivityOptions(), COMPENSATION_POLICY) == ActivityPolicy(maximum_attempts=4)
    assert policy_of(ActivityOptions(heartbeat_timeout=SECOND), COMPENSATION_POLICY).maximum_attempts == 4


def test_every_option_reaches_the_stored_policy() -> None:
    """The task queue is stored beside the policy."""
    options = ActivityOptions(
        start_to_close_timeout=timedelta(seconds=2),
        schedule_to_start_timeout=timedelta(seconds=3),
        schedule_to_close_timeout=timedelta(seconds=4),
        heartbeat_timeout=timedelta(seconds=5),
        retry_policy=RetryPolicy(
            initial_interval=timedelta(seconds=6),
            backoff_coefficient=7,
            maximum_interval=timedelta(seconds=8),
            maximum_attempts=9,
            non_retryable_error_types=["NoSeat", "Closed"],
        ),
        priority=Priority(priority_key=1, fairness_key="tenant-7", fairness_weight=2.5),
        task_queue="cinema",
    )

    assert policy_of(options, ACTION_POLICY) == ActivityPolicy(
        start_to_close_timeout=timedelta(seconds=2),
        schedule_to_start_timeout=timedelta(seconds=3),
        schedule_to_close_timeout=timedelta(seconds=4),
        heartbeat_timeout=timedelta(seconds=5),
        initial_interval=timedelta(seconds=6),
        backoff_coefficient=7,
        maximum_interval=timedelta(seconds=8),
        maximum_attempts=9,
        non_retryable_error_types=("NoSeat", "Closed"),
        priority_key=1,
        fairness_key="tenant-7",
        fairness_weight=2.5,
    )


@pytest.mark.parametrize(("first", "longest"), [(SECOND, 30), (timedelta(minutes=5), 300)])
def test_without_maximum_interval_intervals_grow_to_thirty_seconds(first: timedelta, longest: int) -> None:
    """Or stay at the first interval, where longer."""
    policy = policy_of(ActivityOptions(retry_policy=retry(initial_interval=first)), ACTION_POLICY)

    assert policy.maximum_interval == timedelta(seconds=longest)


def test_later_changes_of_the_retry_policy_change_nothing() -> None:
    """Temporal's class is mutable; options are values."""
    types = ["NoSeat"]
    changed = RetryPolicy(maximum_attempts=3, non_retryable_error_types=types)
    options = ActivityOptions(retry_policy=changed)

    changed.maximum_attempts = 0
    types.append("Closed")

    policy = policy_of(options, ACTION_POLICY)
    assert (policy.maximum_attempts, policy.non_retryable_error_types) == (3, ("NoSeat",))


def test_options_are_values() -> None:
    """Frozen, hashable, equal when the content is equal, and made anew by `replace`."""
    options = ActivityOptions(retry_policy=retry(non_retryable_error_types=["NoSeat"]), task_queue="cinema")
    same = ActivityOptions(retry_policy=retry(non_retryable_error_types=("NoSeat",)), task_queue="cinema")

    assert options == same
    assert len({options, same}) == 1
    assert replace(options, task_queue=None) != options
    with pytest.raises(AttributeError):
        options.task_queue = "other"  # type: ignore[misc] # frozen
    with pytest.raises(DefinitionError, match="heartbeat_timeout"):
        replace(options, heartbeat_timeout=ZERO)
