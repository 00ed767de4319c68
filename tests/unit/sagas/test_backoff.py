"""How long what must succeed is waited for: the pauses between its rounds, and the wait for a worker."""

from datetime import timedelta

import pytest

from sagas._core.activity_policy import ActivityPolicy
from sagas._execution.backoff import MOST_BYTES, MOST_EVENTS, retry_interval, worker_timeout

KIB = 1024


def test_pauses_double_from_five_seconds_to_five_minutes() -> None:
    """Transient trouble is over soon, or takes long."""
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
    """However many rounds there were: no pause overflows."""
    assert [retry_interval(number, spent) for number in (15, 100, 100_000)] == [pause] * 3


def test_a_history_of_which_much_is_spent_has_quick_rounds_first() -> None:
    """Few of them can have spent so much only where each is large."""
    assert [retry_interval(number, 0.9).total_seconds() for number in range(3)] == [5, 10, 20]


@pytest.mark.parametrize(
    ("events", "size", "days"),
    [(11, 3 * KIB, 2_400), (35, 15 * KIB, 750), (11, 100 * KIB, 260), (11, 1_000 * KIB, 26)],
)
def test_a_history_has_room_for_so_many_days_of_rounds(events: int, size: int, days: int) -> None:
    """The server terminates a saga whose history is full; the limits are told in `docs/limits.md`.

    A round in which one thing fails has eleven events; each further one has six more.
    """
    age, number, spent = timedelta(0), 0, 0.0
    while spent < 1:
        age += retry_interval(number, spent)
        number += 1
        spent = number * max(events / MOST_EVENTS, size / MOST_BYTES)

    assert days <= age.days < days * 1.1


def test_the_wait_for_a_worker_grows_with_the_pauses() -> None:
    """P8: stuck within a minute; P11: a queue that takes longer than that is waited for all the same."""
    waits = [
        worker_timeout(ActivityPolicy(), number, 0).total_seconds() for number in (0, 1, 4, 5, 6, 7, 100_000)
    ]

    assert waits == [45, 45, 45, 80, 160, 300, 300]
    assert worker_timeout(ActivityPolicy(), 300, 0.2) == timedelta(hours=1)
    assert worker_timeout(ActivityPolicy(), 300, 0.7) == timedelta(hours=1)
    assert worker_timeout(ActivityPolicy(schedule_to_start_timeout=timedelta(days=2)), 7, 0) == timedelta(
        days=2
    )
