"""The stored form of timeouts and retries: ranges, intervals, rounds, and the written bytes."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sagas._core.activity_policy import COMPENSATION_POLICY, MOST_ATTEMPTS, ActivityPolicy
from sagas._core.compensation import PendingCompensation

ZERO = timedelta(0)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    "bad",
    [
        {"start_to_close_timeout": ZERO},
        {"start_to_close_timeout": -SECOND},
        {"start_to_close_timeout": timedelta(days=30, seconds=1)},
        {"maximum_attempts": 0},
        {"maximum_attempts": -1},
        {"maximum_attempts": 2**31},
        {"initial_interval": ZERO},
        {"maximum_interval": ZERO},
        {"heartbeat_timeout": ZERO},
        {"backoff_coefficient": 0.99},
        {"backoff_coefficient": 100.1},
        {"backoff_coefficient": float("nan")},
        {"backoff_coefficient": float("inf")},
        {"schedule_to_close_timeout": ZERO},
        {"schedule_to_close_timeout": -SECOND},
        {"schedule_to_start_timeout": ZERO},
        {"schedule_to_start_timeout": timedelta(days=31)},
        {"schedule_to_close_timeout": timedelta(days=30, microseconds=1)},
        {"heartbeat_timeout": timedelta(days=31)},
        {"maximum_interval": timedelta(days=31)},
        {"priority_key": 0},
        {"priority_key": -1},
        {"priority_key": 6},
        {"initial_interval": timedelta(seconds=31)},
    ],
    ids=str,
)
def test_policy_out_of_range_is_not_read(bad: dict[str, Any]) -> None:
    """Another program wrote a header or memo with a policy out of range; the error names the field."""
    with pytest.raises(ValidationError, match=next(iter(bad))):
        ActivityPolicy(**bad)


@pytest.mark.parametrize(
    "good",
    [
        {"start_to_close_timeout": timedelta(days=30)},
        {"start_to_close_timeout": timedelta(microseconds=1)},
        {"maximum_attempts": 1},
        {"maximum_attempts": 2**31 - 1},
        {"backoff_coefficient": 1.0},
        {"backoff_coefficient": 100.0},
        {"heartbeat_timeout": SECOND},
        {"initial_interval": timedelta(seconds=30)},
        {"schedule_to_close_timeout": timedelta(microseconds=1)},
        {"schedule_to_close_timeout": timedelta(days=30)},
        {"schedule_to_close_timeout": None},
        {"priority_key": 1},
        {"priority_key": 5},
        {"priority_key": None},
    ],
    ids=str,
)
def test_policy_at_its_limits_is_read(good: dict[str, Any]) -> None:
    """The limit of a range belongs to the range."""
    ActivityPolicy(**good)


@given(
    attempt=st.integers(min_value=1, max_value=10_000),
    backoff=st.floats(min_value=1, max_value=100),
    pause=st.timedeltas(min_value=timedelta(microseconds=1), max_value=timedelta(days=30)),
)
def test_intervals_grow_up_to_the_longest(attempt: int, backoff: float, pause: timedelta) -> None:
    """After any number of attempts, no interval overflows or is shorter than the interval before."""
    policy = ActivityPolicy(
        initial_interval=pause, backoff_coefficient=backoff, maximum_interval=timedelta(days=30)
    )

    assert (
        pause
        <= policy.interval_after(attempt)
        <= policy.interval_after(attempt + 1)
        <= policy.maximum_interval
    )


def test_intervals_double_by_default() -> None:
    """1, 2, 4 … 30 s."""
    intervals = [ActivityPolicy().interval_after(n).total_seconds() for n in range(1, 8)]

    assert intervals == [1, 2, 4, 8, 16, 30, 30]


def test_policies_are_values() -> None:
    """Two policies with the same content are equal, and come through JSON unchanged."""
    policy = ActivityPolicy(
        schedule_to_close_timeout=timedelta(hours=1),
        priority_key=1,
        heartbeat_timeout=timedelta(milliseconds=1_500),
    )
    same = ActivityPolicy(
        schedule_to_close_timeout=timedelta(hours=1),
        priority_key=1,
        heartbeat_timeout=policy.heartbeat_timeout,
    )

    assert ActivityPolicy.model_validate_json(policy.model_dump_json()) == policy
    assert len({policy, same}) == 1
    with pytest.raises(ValidationError, match="frozen"):
        policy.priority_key = 2  # type: ignore[misc] # frozen


ADDED = {"non_retryable_error_types": ("NoSeat",), "fairness_key": "tenant-7", "fairness_weight": 0.5}


def test_options_are_written_only_where_set() -> None:
    """A policy leaves out unset options, alone and inside a model."""
    written = COMPENSATION_POLICY.model_dump_json()
    pending = PendingCompensation(address="seat", activity="free-seat", arguments=())

    assert not [name for name in ADDED if name in written]
    assert f'"policy":{written}' in pending.model_dump_json()


@pytest.mark.parametrize("name", ADDED)
def test_options_of_a_later_version_are_read_as_written(name: str) -> None:
    """Each set option comes through JSON; unset options are not written."""
    policy = ActivityPolicy.model_validate({name: ADDED[name]})
    written = policy.model_dump_json()

    assert ActivityPolicy.model_validate_json(written) == policy
    assert policy != ActivityPolicy()
    assert [each for each in ADDED if each in written] == [name]


@pytest.mark.parametrize(
    ("policy", "seconds"),
    [
        (COMPENSATION_POLICY, 45 + 10),
        (ActivityPolicy(), 5 * 10 + 1 + 2 + 4 + 8),
        (ActivityPolicy(maximum_attempts=1), 45 + 10),
        (ActivityPolicy(maximum_attempts=8), 8 * 10 + 1 + 2 + 4 + 8 + 16 + 30 + 30),
        (ActivityPolicy(maximum_attempts=1, start_to_close_timeout=timedelta(minutes=5)), 45 + 300),
        (
            ActivityPolicy(maximum_attempts=10_000, backoff_coefficient=1, start_to_close_timeout=SECOND),
            10_000 + 9_999,
        ),
        (ActivityPolicy(maximum_attempts=10_000, start_to_close_timeout=SECOND), 10_000 + 31 + 9_994 * 30),
    ],
    ids=str,
)
def test_round_is_over_when_all_attempts_could_have_been_made(policy: ActivityPolicy, seconds: int) -> None:
    """P8: a failing compensation makes the saga stuck within 60 s, unless the policy is slower."""
    assert (
        policy.longest_round(policy.maximum_attempts, policy.schedule_to_start_timeout).total_seconds()
        == seconds
    )


def test_no_round_is_longer_than_thirty_days() -> None:
    """The limit holds for any number of attempts."""
    slow = ActivityPolicy(maximum_attempts=2**31 - 1, start_to_close_timeout=timedelta(days=30))

    assert slow.longest_round(slow.maximum_attempts, slow.schedule_to_start_timeout) == timedelta(days=30)


UNLIMITED = MOST_ATTEMPTS


@pytest.mark.parametrize(
    ("policy", "attempts"),
    [
        (ActivityPolicy(), 5),
        (ActivityPolicy(schedule_to_close_timeout=SECOND), 5),
        (ActivityPolicy(maximum_attempts=UNLIMITED), UNLIMITED),
        (ActivityPolicy(maximum_attempts=UNLIMITED, schedule_to_close_timeout=SECOND), 1),
        (ActivityPolicy(maximum_attempts=UNLIMITED, schedule_to_close_timeout=timedelta(seconds=10)), 1),
        # Three attempts of 10 s and intervals of 1 s and 2 s.
        (ActivityPolicy(maximum_attempts=UNLIMITED, schedule_to_close_timeout=timedelta(seconds=33)), 3),
        (ActivityPolicy(maximum_attempts=UNLIMITED, schedule_to_close_timeout=timedelta(seconds=32)), 2),
        (
            ActivityPolicy(
                maximum_attempts=UNLIMITED,
                schedule_to_close_timeout=timedelta(days=30),
                start_to_close_timeout=SECOND,
            ),
            1_000,
        ),
    ],
    ids=str,
)
def test_round_of_unlimited_attempts_ends_with_the_schedule_to_close_timeout(
    policy: ActivityPolicy, attempts: int
) -> None:
    """The pivot is stuck afterwards, and the intervals grow: the history has room for years."""
    assert policy.attempts_in_round() == attempts
