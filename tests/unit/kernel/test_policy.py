"""Policies are checked when they are made."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagas import DefinitionError, Policy

ZERO = timedelta(0)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    "bad",
    [
        {"timeout": ZERO},
        {"timeout": -SECOND},
        {"timeout": timedelta(days=30, seconds=1)},
        {"attempts": 0},
        {"attempts": -1},
        {"pause": ZERO},
        {"longest_pause": ZERO},
        {"heartbeat": ZERO},
        {"backoff": 0.99},
        {"backoff": 100.1},
        {"backoff": float("nan")},
        {"backoff": float("inf")},
        {"pause": timedelta(seconds=31)},
    ],
    ids=str,
)
def test_policy_out_of_range_is_refused(bad: dict[str, Any]) -> None:
    """With the name of what is wrong."""
    with pytest.raises(DefinitionError, match=next(iter(bad))):
        Policy(**bad)


@pytest.mark.parametrize(
    "good",
    [
        {"timeout": timedelta(days=30)},
        {"timeout": timedelta(microseconds=1)},
        {"attempts": 1},
        {"backoff": 1.0},
        {"backoff": 100.0},
        {"heartbeat": SECOND},
        {"pause": timedelta(seconds=30)},
    ],
    ids=str,
)
def test_policy_at_its_limits_is_taken(good: dict[str, Any]) -> None:
    """A limit belongs to what is allowed."""
    Policy(**good)


@given(
    attempt=st.integers(min_value=1, max_value=10_000),
    backoff=st.floats(min_value=1, max_value=100),
    pause=st.timedeltas(min_value=timedelta(microseconds=1), max_value=timedelta(days=30)),
)
def test_pauses_grow_up_to_the_longest(attempt: int, backoff: float, pause: timedelta) -> None:
    """However long it goes on: no overflow, no pause that is shorter than the one before."""
    policy = Policy(pause=pause, backoff=backoff, longest_pause=timedelta(days=30))

    assert pause <= policy.pause_after(attempt) <= policy.pause_after(attempt + 1) <= policy.longest_pause


def test_pauses_double_by_default() -> None:
    """1, 2, 4 … 30 s."""
    pauses = [Policy().pause_after(n).total_seconds() for n in range(1, 8)]

    assert pauses == [1, 2, 4, 8, 16, 30, 30]
