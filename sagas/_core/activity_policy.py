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

_ADDED_LATER = frozenset({"non_retryable_error_types", "fairness_key", "fairness_weight"})

_Timeout = Annotated[timedelta, Field(gt=timedelta(0), le=LONGEST_TIMEOUT)]


class ActivityPolicy(BaseModel):
    """The timeouts and retries of an activity.

    `ActivityOptions` is the form of the public API; `sagas._declarations.activity_options` translates.

    Args:
        timeout: The start-to-close timeout of one attempt.
        attempts: The maximum number of attempts; `MOST_ATTEMPTS` with a `deadline` means unlimited.
        pause: The interval before the second attempt.
        backoff: The factor by which each interval grows.
        longest_pause: The maximum interval.
        heartbeat: The heartbeat timeout.
        deadline: The schedule-to-close timeout: all attempts, intervals and the wait for a worker.
        taken_within: The schedule-to-start timeout of compensations, of a pivot in doubt, and of steps after
            the pivot.
        priority: The priority key, 1 (first) to 5.
        non_retryable_error_types: The error types that end the attempts.
        fairness_key: The key of a group of activities; Temporal shares busy workers among the groups.
        fairness_weight: The share of the key.
    """

    model_config = ConfigDict(frozen=True)

    timeout: _Timeout = timedelta(seconds=10)
    attempts: Annotated[int, Field(ge=1, le=MOST_ATTEMPTS)] = 5
    pause: _Timeout = timedelta(seconds=1)
    backoff: Annotated[float, Field(ge=1, le=LARGEST_BACKOFF, allow_inf_nan=False)] = 2.0
    longest_pause: _Timeout = timedelta(seconds=30)
    heartbeat: _Timeout | None = None
    deadline: _Timeout | None = None
    taken_within: _Timeout = SCHEDULE_TO_START
    priority: Annotated[int, Field(ge=1, le=LOWEST_PRIORITY)] | None = None
    non_retryable_error_types: tuple[str, ...] = ()
    fairness_key: str | None = None
    fairness_weight: float | None = None

    @model_validator(mode="after")
    def _check_pauses(self) -> Self:
        if self.pause > self.longest_pause:
            raise ValueError(f"pause ({self.pause}) must not be above longest_pause ({self.longest_pause})")
        return self

    @model_serializer(mode="wrap")
    def _without_unset_options(self, serialize: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Leaves out unset options of version 0.2: older policies keep the same bytes."""
        fields: dict[str, object] = serialize(self)
        return {name: value for name, value in fields.items() if value or name not in _ADDED_LATER}

    def pause_after(self, attempt: int) -> timedelta:
        """The interval after the `attempt`-th attempt, counted from 1."""
        seconds = self.pause.total_seconds() * self.backoff ** min(attempt - 1, 60)
        return timedelta(seconds=min(seconds, self.longest_pause.total_seconds()))

    def longest_round(self, attempts: int, taken_within: timedelta) -> timedelta:
        """The longest duration of a round of attempts, even if all workers stop during the round."""
        growing = min(attempts - 1, 61)  # from then on, all pauses are the same
        pauses = [self.pause_after(attempt).total_seconds() for attempt in range(1, growing + 1)]
        rest = (attempts - 1 - growing) * self.pause_after(attempts).total_seconds()
        all_attempts = attempts * self.timeout.total_seconds() + sum(pauses) + rest
        seconds = max(all_attempts, (taken_within + self.timeout).total_seconds())
        return timedelta(seconds=min(seconds, LONGEST_TIMEOUT.total_seconds()))

    def attempts_in_round(self) -> int:
        """The number of failed attempts after which a pivot is stuck.

        For unlimited attempts, the number of attempts within `deadline` if each attempt lasts `timeout`, at
        most `MOST_ATTEMPTS_IN_ROUND`.
        """
        if self.attempts < MOST_ATTEMPTS or self.deadline is None:
            return self.attempts
        number, end = 1, self.timeout
        while number < MOST_ATTEMPTS_IN_ROUND:
            end += self.pause_after(number) + self.timeout
            if end > self.deadline:
                break
            number += 1
        return number


ACTION_POLICY = ActivityPolicy()
COMPENSATION_POLICY = ActivityPolicy(attempts=4)
"""A round of four attempts and three intervals takes 47 s, or 55 s with the wait for a worker: a saga is
marked as stuck within a minute."""
