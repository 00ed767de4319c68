"""Intervals between rounds of activities that must succeed: short at first, later bounded by the history.

Temporal terminates a workflow whose history is full; the intervals grow so that a history has room for years.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from temporalio import workflow

from .._core.activity_policy import ActivityPolicy

FIRST_INTERVAL = timedelta(seconds=5)
LONGEST_INTERVAL = timedelta(minutes=5)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MOST_EVENTS = 51_200
MOST_BYTES = 50 * 1024 * 1024
"""The size of a history by the server's defaults; a workflow with a larger history is terminated."""


@dataclass(frozen=True, slots=True)
class HistoryUsage:
    """The size of a workflow's history at a point in time."""

    events: int
    size: int

    @classmethod
    def now(cls) -> Self:
        """Returns the size in this workflow task; the size is the same in every replay."""
        info = workflow.info()
        return cls(info.get_current_history_length(), info.get_current_history_size())

    def share_used_since(self) -> float:
        """Returns the used share of the room that was left at this point; 1 is all of the room."""
        now = HistoryUsage.now()
        events = (now.events - self.events) / max(1, MOST_EVENTS - self.events)
        return max(events, (now.size - self.size) / max(1, MOST_BYTES - self.size))


def retry_interval(round_number: int, used: float) -> timedelta:
    """Returns the interval after a round, counted from 0; `used` is the used share of the history."""
    longest = LONGEST_INTERVAL if used < 0.1 else HOUR if used < 0.5 else DAY
    return min(FIRST_INTERVAL * int(2 ** min(round_number, 20)), longest)


def worker_timeout(policy: ActivityPolicy, round_number: int, used: float) -> timedelta:
    """Returns the longest wait for a worker in a round, counted from 0.

    The wait grows with the intervals up to an hour: a long task queue makes the saga stuck, but the activity
    is run in the end. An activity that a worker may be running cannot be resolved manually.
    """
    interval = retry_interval(round_number - 1, used) if round_number else timedelta(0)
    return max(policy.schedule_to_start_timeout, min(interval, HOUR))
