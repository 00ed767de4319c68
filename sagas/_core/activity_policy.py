"""How long and how often an activity is tried."""

from dataclasses import dataclass
from datetime import timedelta

from .._errors import DefinitionError

LONGEST = timedelta(days=30)
MOST_ATTEMPTS = 2**31 - 1
"""Temporal has no larger number; a workflow that sends one is wedged."""
TAKEN_WITHIN = timedelta(seconds=45)
"""So that a saga which is stuck for want of workers says so within a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityPolicy:
    """How long one attempt of an activity may take, how often it is tried, and the pauses in between.

    For a compensation, for the pivot and for what follows it, `attempts` is not the end: they are tried
    in rounds of so many attempts until they are done, and the saga says that it is stuck meanwhile.

    Args:
        timeout: The longest that one attempt may take. What comes later is *unknown*, as the attempt
            may still be running.
        attempts: How often it is tried, at least once, and at most 2³¹ - 1 times.
        pause: The pause before the second attempt.
        backoff: What each pause is multiplied with to get the next, 1 to 100.
        longest_pause: No pause is longer.
        heartbeat: The longest silence of an activity that reports its progress; without it a crashed
            worker is only noticed at `timeout`.
        deadline: The longest that all attempts together may take, pauses and the wait for a worker
            included; without it, a step and the pivot wait for workers as long as there are none.
        taken_within: For a compensation, a pivot in doubt, and what follows the pivot, with their probes: the
            longest that the first round waits for a worker, before the saga says that it is stuck, and tries
            again. Without a deadline, a round ends when all of its attempts could have been made, or when
            there was time for this wait and one attempt, whichever is later; at the latest after 30 days.
        priority: 1 (first) to 5, where many activities wait for the same workers; Temporal's default is 3.

    Raises:
        DefinitionError: A value is out of its range.
    """

    timeout: timedelta = timedelta(seconds=10)
    attempts: int = 5
    pause: timedelta = timedelta(seconds=1)
    backoff: float = 2.0
    longest_pause: timedelta = timedelta(seconds=30)
    heartbeat: timedelta | None = None
    deadline: timedelta | None = None
    taken_within: timedelta = TAKEN_WITHIN
    priority: int | None = None

    def __post_init__(self) -> None:
        for name in ("timeout", "pause", "longest_pause", "heartbeat", "deadline", "taken_within"):
            value = getattr(self, name)
            if value is not None and not timedelta(0) < value <= LONGEST:
                raise DefinitionError(f"{name} must be above 0 and at most {LONGEST.days} days, not {value}")
        if not 1 <= self.attempts <= MOST_ATTEMPTS:
            raise DefinitionError(f"attempts must be 1 to {MOST_ATTEMPTS}, not {self.attempts}")
        if self.priority is not None and not 1 <= self.priority <= 5:
            raise DefinitionError(f"priority must be 1 to 5, not {self.priority}")
        if not 1 <= self.backoff <= 100:
            raise DefinitionError(f"backoff must be 1 to 100, not {self.backoff}")
        if self.pause > self.longest_pause:
            raise DefinitionError(
                f"pause ({self.pause}) must not be longer than longest_pause ({self.longest_pause})"
            )

    def pause_after(self, attempt: int) -> timedelta:
        """The pause after the `attempt`-th attempt, counted from 1."""
        seconds = self.pause.total_seconds() * self.backoff ** min(attempt - 1, 60)
        return timedelta(seconds=min(seconds, self.longest_pause.total_seconds()))

    def longest_round(self, attempts: int, taken_within: timedelta) -> timedelta:
        """When a round of so many attempts is over, even where its workers go away in the middle of it."""
        growing = min(attempts - 1, 61)  # from then on, all pauses are the same
        pauses = [self.pause_after(attempt).total_seconds() for attempt in range(1, growing + 1)]
        rest = (attempts - 1 - growing) * self.pause_after(attempts).total_seconds()
        all_attempts = attempts * self.timeout.total_seconds() + sum(pauses) + rest
        seconds = max(all_attempts, (taken_within + self.timeout).total_seconds())
        return timedelta(seconds=min(seconds, LONGEST.total_seconds()))


ACTION = ActivityPolicy()
COMPENSATION = ActivityPolicy(attempts=4)
"""A round of four attempts and three pauses takes 47 s, or 55 s with a wait for workers: a stuck saga says
so within a minute."""
