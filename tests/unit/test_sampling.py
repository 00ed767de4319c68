"""The samples of the sweeps rotate with the seed, and cover all cases."""

import pytest

from ..sampling import Sampler, seed_of_today

CASES = [f"case-{number}" for number in range(50)]


@pytest.mark.parametrize("seed", [0, 1, seed_of_today()])
def test_consecutive_seeds_cover_all_cases(seed: int) -> None:
    """Five samples of twelve cover fifty cases, and the first four samples are disjoint."""
    samples = [Sampler(seed + day).choose("cancels", CASES, 12) for day in range(5)]

    assert set().union(*samples) == set(CASES)
    assert len(set().union(*samples[:4])) == 48


def test_a_seed_repeats_its_sample() -> None:
    """The sample depends on the seed and on the name of the sweep only."""
    assert Sampler(7).choose("cancels", CASES, 12) == Sampler(7).choose("cancels", CASES, 12)
    assert Sampler(7).choose("cancels", CASES, 12) != Sampler(8).choose("cancels", CASES, 12)
    assert Sampler(7).choose("cancels", CASES, 12) != Sampler(7).choose("kills", CASES, 12)


def test_a_sample_keeps_the_order_of_the_cases() -> None:
    """The cases come as in the exhaustive sweep."""
    chosen = Sampler(7).choose("cancels", CASES, 12)

    assert chosen == sorted(chosen, key=CASES.index)


def test_an_exhaustive_sweep_runs_all_cases() -> None:
    """Also a sample that is larger than the number of cases contains each case once."""
    assert Sampler(7, is_exhaustive=True).choose("cancels", CASES, 12) == CASES
    assert Sampler(7).choose("cancels", CASES, 100) == CASES
    assert Sampler(7).choose("cancels", [], 12) == []


def test_the_summary_says_how_to_repeat_a_sample() -> None:
    """A developer repeats a failed sample with the printed setting."""
    assert str(Sampler(7)) == "a sample, repeated by SWEEP_SEED=7"
    assert str(Sampler(7, is_exhaustive=True)) == "all cases"
