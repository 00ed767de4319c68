"""How long what must succeed is waited for: the pauses between its rounds, and the wait for a worker."""

from datetime import timedelta

import pytest

from sagas import Policy
from sagas._scope.insist import patience, pause_after

DAY = timedelta(days=1)


def test_pauses_double_from_five_seconds_to_five_minutes() -> None:
    """Transient trouble is over soon, or takes long."""
    pauses = [pause_after(number, timedelta(0)).total_seconds() for number in range(8)]

    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300]


@pytest.mark.parametrize(
    ("age", "pause"), [(DAY, timedelta(minutes=5)), (DAY + timedelta(seconds=1), timedelta(hours=1))]
)
def test_after_a_day_it_is_tried_once_an_hour(age: timedelta, pause: timedelta) -> None:
    """However many rounds there were: no pause overflows."""
    assert [pause_after(number, age) for number in (10, 100, 100_000)] == [pause] * 3


def test_a_history_has_room_for_half_a_year_of_rounds() -> None:
    """The server terminates a saga whose history has more than 51,200 events; a round is eleven."""
    age, events = timedelta(0), 0
    while events < 51_200:
        age += pause_after(events // 11, age)
        events += 11

    assert timedelta(days=180) < age < timedelta(days=190)


def test_the_wait_for_a_worker_grows_with_the_pauses() -> None:
    """P8: stuck within a minute; P11: a queue that takes longer than that is waited for all the same."""
    waits = [patience(Policy(), number, DAY).total_seconds() for number in (0, 1, 4, 5, 6, 7, 100_000)]

    assert waits == [45, 45, 45, 80, 160, 300, 300]
    assert patience(Policy(), 300, DAY + timedelta(seconds=1)) == timedelta(hours=1)
    assert patience(Policy(taken_within=timedelta(hours=1)), 7, DAY) == timedelta(hours=1)
