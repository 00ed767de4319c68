"""How fast what must succeed is tried again: soon at first, and then so that a history has room for years."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from temporalio import workflow

from .._core.activity_policy import ActivityPolicy

FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=5)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MOST_EVENTS = 51_200
MOST_BYTES = 50 * 1024 * 1024
"""What a history holds, unless the server was told otherwise; a workflow that fills it is terminated."""


@dataclass(frozen=True, slots=True)
class HistoryUsage:
    """Where the history of a workflow was when it began to try something."""

    events: int
    size: int

    @classmethod
    def here(cls) -> Self:
        """As it is in this workflow task, and was in it for every replay."""
        info = workflow.info()
        return cls(info.get_current_history_length(), info.get_current_history_size())

    def spent(self) -> float:
        """The share of the room there was that has been taken since; 1 is all of it."""
        now = HistoryUsage.here()
        events = (now.events - self.events) / max(1, MOST_EVENTS - self.events)
        return max(events, (now.size - self.size) / max(1, MOST_BYTES - self.size))


def pause_after(number: int, spent: float) -> timedelta:
    """The pause after a round, counted from 0, of something that has taken so much of the history's room."""
    longest = LONGEST_PAUSE if spent < 0.1 else HOUR if spent < 0.5 else DAY
    return min(FIRST_PAUSE * int(2 ** min(number, 20)), longest)


def patience(policy: ActivityPolicy, number: int, spent: float) -> timedelta:
    """How long a round, counted from 0, waits for a worker.

    It grows with the pauses up to an hour, so that a long queue only makes the saga stuck, and gets to it
    nevertheless; nobody can settle by hand what is waited for.
    """
    pause = pause_after(number - 1, spent) if number else timedelta(0)
    return max(policy.taken_within, min(pause, HOUR))
