"""Policies are checked when they are made."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from sagas import ActivityPolicy, DefinitionError
from sagas._core.activity_policy import COMPENSATION

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
        {"attempts": 2**31},
        {"pause": ZERO},
        {"longest_pause": ZERO},
        {"heartbeat": ZERO},
        {"backoff": 0.99},
        {"backoff": 100.1},
        {"backoff": float("nan")},
        {"backoff": float("inf")},
        {"deadline": ZERO},
        {"deadline": -SECOND},
        {"taken_within": ZERO},
        {"taken_within": timedelta(days=31)},
        {"deadline": timedelta(days=30, microseconds=1)},
        {"heartbeat": timedelta(days=31)},
        {"longest_pause": timedelta(days=31)},
        {"priority": 0},
        {"priority": -1},
        {"priority": 6},
        {"pause": timedelta(seconds=31)},
    ],
    ids=str,
)
def test_policy_out_of_range_is_refused(bad: dict[str, Any]) -> None:
    """With the name of what is wrong."""
    with pytest.raises(DefinitionError, match=next(iter(bad))):
        ActivityPolicy(**bad)


@pytest.mark.parametrize(
    "good",
    [
        {"timeout": timedelta(days=30)},
        {"timeout": timedelta(microseconds=1)},
        {"attempts": 1},
        {"attempts": 2**31 - 1},
        {"backoff": 1.0},
        {"backoff": 100.0},
        {"heartbeat": SECOND},
        {"pause": timedelta(seconds=30)},
        {"deadline": timedelta(microseconds=1)},
        {"deadline": timedelta(days=30)},
        {"deadline": None},
        {"priority": 1},
        {"priority": 5},
        {"priority": None},
    ],
    ids=str,
)
def test_policy_at_its_limits_is_taken(good: dict[str, Any]) -> None:
    """A limit belongs to what is allowed."""
    ActivityPolicy(**good)


@given(
    attempt=st.integers(min_value=1, max_value=10_000),
    backoff=st.floats(min_value=1, max_value=100),
    pause=st.timedeltas(min_value=timedelta(microseconds=1), max_value=timedelta(days=30)),
)
def test_pauses_grow_up_to_the_longest(attempt: int, backoff: float, pause: timedelta) -> None:
    """However long it goes on: no overflow, no pause that is shorter than the one before."""
    policy = ActivityPolicy(pause=pause, backoff=backoff, longest_pause=timedelta(days=30))

    assert pause <= policy.pause_after(attempt) <= policy.pause_after(attempt + 1) <= policy.longest_pause


def test_pauses_double_by_default() -> None:
    """1, 2, 4 … 30 s."""
    pauses = [ActivityPolicy().pause_after(n).total_seconds() for n in range(1, 8)]

    assert pauses == [1, 2, 4, 8, 16, 30, 30]


def test_policy_names_what_is_too_long() -> None:
    """The limit stands in the message, so that nobody has to look for it."""
    with pytest.raises(DefinitionError, match="deadline must be above 0 and at most 30 days, not 31 days"):
        ActivityPolicy(deadline=timedelta(days=31))


def test_policies_are_values() -> None:
    """A mark and a compensation that say the same are equal, and they come through JSON."""
    policy = ActivityPolicy(deadline=timedelta(hours=1), priority=1, heartbeat=timedelta(milliseconds=1_500))
    convert = TypeAdapter(ActivityPolicy)

    assert convert.validate_json(convert.dump_json(policy)) == policy
    assert (
        len({policy, ActivityPolicy(deadline=timedelta(hours=1), priority=1, heartbeat=policy.heartbeat)})
        == 1
    )
    with pytest.raises(AttributeError):
        policy.priority = 2  # type: ignore[misc] # it is frozen


@pytest.mark.parametrize(
    ("policy", "seconds"),
    [
        (COMPENSATION, 45 + 10),
        (ActivityPolicy(), 5 * 10 + 1 + 2 + 4 + 8),
        (ActivityPolicy(attempts=1), 45 + 10),
        (ActivityPolicy(attempts=8), 8 * 10 + 1 + 2 + 4 + 8 + 16 + 30 + 30),
        (ActivityPolicy(attempts=1, timeout=timedelta(minutes=5)), 45 + 300),
        (ActivityPolicy(attempts=10_000, backoff=1, timeout=SECOND), 10_000 + 9_999),
        (ActivityPolicy(attempts=10_000, timeout=SECOND), 10_000 + 31 + 9_994 * 30),
    ],
    ids=str,
)
def test_round_is_over_when_all_attempts_could_have_been_made(policy: ActivityPolicy, seconds: int) -> None:
    """P8: a compensation that fails makes its saga stuck within 60 s, unless its policy is slower."""
    assert policy.longest_round(policy.attempts, policy.taken_within).total_seconds() == seconds


def test_no_round_is_longer_than_thirty_days() -> None:
    """However many attempts it has."""
    slow = ActivityPolicy(attempts=2**31 - 1, timeout=timedelta(days=30))

    assert slow.longest_round(slow.attempts, slow.taken_within) == timedelta(days=30)
