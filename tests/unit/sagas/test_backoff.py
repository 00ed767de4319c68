"""The waits of steps that must succeed: the intervals between rounds, and the wait for a worker."""

from datetime import timedelta

import pytest

from sagas._core.activity_policy import ActivityPolicy
from sagas._execution.backoff import MOST_BYTES, MOST_EVENTS, retry_interval, worker_timeout

KIB = 1024


def test_pauses_double_from_five_seconds_to_five_minutes() -> None:
    """A transient failure is over soon, or takes long."""
    pauses = [retry_interval(number, 0).total_seconds() for number in range(8)]

    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300]


@pytest.mark.parametrize(
    ("spent", "pause"),
    [
        (0.0999, timedelta(minutes=5)),
        (0.1, timedelta(hours=1)),
        (0.4999, timedelta(hours=1)),
        (0.5, timedelta(days=1)),
        (2, timedelta(days=1)),
    ],
)
def test_pauses_are_longer_the_less_room_a_history_has(spent: float, pause: timedelta) -> None:
    """No interval overflows after any number of rounds."""
    assert [retry_interval(number, spent) for number in (15, 100, 100_000)] == [pause] * 3


def test_an_almost_full_history_has_quick_rounds_first() -> None:
    """A few rounds can fill a history only if each round is large."""
    assert [retry_interval(number, 0.9).total_seconds() for number in range(3)] == [5, 10, 20]


@pytest.mark.parametrize(
    ("events", "size", "days"),
    [(11, 3 * KIB, 2_400), (35, 15 * KIB, 750), (11, 100 * KIB, 260), (11, 1_000 * KIB, 26)],
)
def test_a_history_has_room_for_days_of_rounds(events: int, size: int, days: int) -> None:
    """The server terminates a saga with a full history; `docs/limits.md` has the limits.

    A round with a single failure has eleven events; each further failure adds six events.
    """
    age, number, spent = timedelta(0), 0, 0.0
    while spent < 1:
        age += retry_interval(number, spent)
        number += 1
        spent = number * max(events / MOST_EVENTS, size / MOST_BYTES)

    assert days <= age.days < days * 1.1


def test_the_wait_for_a_worker_grows_with_the_pauses() -> None:
    """P8: the saga is stuck within a minute; P11: the saga waits for a slower queue all the same."""
    waits = [
        worker_timeout(ActivityPolicy(), number, 0).total_seconds() for number in (0, 1, 4, 5, 6, 7, 100_000)
    ]

    assert waits == [45, 45, 45, 80, 160, 300, 300]
    assert worker_timeout(ActivityPolicy(), 300, 0.2) == timedelta(hours=1)
    assert worker_timeout(ActivityPolicy(), 300, 0.7) == timedelta(hours=1)
    assert worker_timeout(ActivityPolicy(schedule_to_start_timeout=timedelta(days=2)), 7, 0) == timedelta(
        days=2
    )
