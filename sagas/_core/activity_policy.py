"""Timeouts and retries of an activity, as stored in headers and memos."""

from datetime import timedelta
from typing import Annotated, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

LONGEST_TIMEOUT = timedelta(days=30)
MOST_ATTEMPTS = 2**31 - 1
"""The largest number of attempts in Temporal; a workflow task with a larger number fails forever."""
LARGEST_BACKOFF = 100
LOWEST_PRIORITY = 5
LONGEST_FAIRNESS_KEY = 64
"""The limit of a Temporal server, in bytes of UTF-8."""
SMALLEST_WEIGHT, LARGEST_WEIGHT = 0.001, 1_000
"""The range of a Temporal server: weights outside of the range are clamped."""

SCHEDULE_TO_START = timedelta(seconds=45)
"""The limit that marks a saga as stuck within a minute when no worker runs."""
MOST_ATTEMPTS_IN_ROUND = 1_000
"""A pivot's attempt takes about eleven events: a round leaves four fifths of a history's 51,200."""

_Timeout = Annotated[timedelta, Field(gt=timedelta(0), le=LONGEST_TIMEOUT)]


class ActivityPolicy(BaseModel):
    """The timeouts and retries of an activity.

    `ActivityOptions` is the form of the public API; `sagas._declarations.activity_options` translates.

    Args:
        start_to_close_timeout: The timeout of one attempt.
        maximum_attempts: The maximum number of attempts; `MOST_ATTEMPTS` with a `schedule_to_close_timeout`
            means unlimited.
        initial_interval: The interval before the second attempt.
        backoff_coefficient: The factor by which each interval grows.
        maximum_interval: The maximum interval.
        heartbeat_timeout: The heartbeat timeout.
        schedule_to_close_timeout: The timeout of all attempts, intervals and the wait for a worker.
        schedule_to_start_timeout: The timeout of the wait for a worker, for compensations, for a pivot in
            doubt, and for steps after the pivot.
        priority_key: The priority key, 1 (first) to 5.
        non_retryable_error_types: The error types that end the attempts.
        fairness_key: The key of a group of activities; Temporal shares busy workers among the groups.
        fairness_weight: The share of the key.
    """

    model_config = ConfigDict(frozen=True)

    start_to_close_timeout: _Timeout = timedelta(seconds=10)
    maximum_attempts: Annotated[int, Field(ge=1, le=MOST_ATTEMPTS)] = 5
    initial_interval: _Timeout = timedelta(seconds=1)
    backoff_coefficient: Annotated[float, Field(ge=1, le=LARGEST_BACKOFF, allow_inf_nan=False)] = 2.0
    maximum_interval: _Timeout = timedelta(seconds=30)
    heartbeat_timeout: _Timeout | None = None
    schedule_to_close_timeout: _Timeout | None = None
    schedule_to_start_timeout: _Timeout = SCHEDULE_TO_START
    priority_key: Annotated[int, Field(ge=1, le=LOWEST_PRIORITY)] | None = None
    non_retryable_error_types: tuple[str, ...] = ()
    fairness_key: str | None = None
    fairness_weight: float | None = None

    @model_validator(mode="after")
    def _check_intervals(self) -> Self:
        if self.initial_interval > self.maximum_interval:
            raise ValueError(
                f"initial_interval ({self.initial_interval}) must not be above maximum_interval "
                f"({self.maximum_interval})"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_unset_options(self, serialize: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Leaves out options without a value, which keeps headers small."""
        fields: dict[str, object] = serialize(self)
        return {name: value for name, value in fields.items() if value not in (None, (), [])}

    def interval_after(self, attempt: int) -> timedelta:
        """The interval after the `attempt`-th attempt, counted from 1."""
        seconds = self.initial_interval.total_seconds() * self.backoff_coefficient ** min(attempt - 1, 60)
        return timedelta(seconds=min(seconds, self.maximum_interval.total_seconds()))

    def longest_round(self, attempts: int, schedule_to_start_timeout: timedelta) -> timedelta:
        """The longest duration of a round of attempts, even if all workers stop during the round."""
        growing = min(attempts - 1, 61)  # from then on, all intervals are the same
        intervals = [self.interval_after(attempt).total_seconds() for attempt in range(1, growing + 1)]
        rest = (attempts - 1 - growing) * self.interval_after(attempts).total_seconds()
        all_attempts = attempts * self.start_to_close_timeout.total_seconds() + sum(intervals) + rest
        seconds = max(all_attempts, (schedule_to_start_timeout + self.start_to_close_timeout).total_seconds())
        return timedelta(seconds=min(seconds, LONGEST_TIMEOUT.total_seconds()))

    def attempts_in_round(self) -> int:
        """The number of failed attempts after which a pivot is stuck.

        For unlimited attempts, the number of attempts within the schedule-to-close timeout if each attempt
        lasts the start-to-close timeout, at most `MOST_ATTEMPTS_IN_ROUND`.
        """
        if self.maximum_attempts < MOST_ATTEMPTS or self.schedule_to_close_timeout is None:
            return self.maximum_attempts
        number, end = 1, self.start_to_close_timeout
        while number < MOST_ATTEMPTS_IN_ROUND:
            end += self.interval_after(number) + self.start_to_close_timeout
            if end > self.schedule_to_close_timeout:
                break
            number += 1
        return number


ACTION_POLICY = ActivityPolicy()
COMPENSATION_POLICY = ActivityPolicy(maximum_attempts=4)
"""A round of four attempts and three intervals takes 47 s, or 55 s with the wait for a worker: a saga is
marked as stuck within a minute."""
