"""Pauses between attempts: they grow, and no two processes keep the same beat."""

import random
from datetime import timedelta

_SPREAD = 0.5


def pause_after(attempts: int, first: timedelta, longest: timedelta) -> float:
    """Seconds to wait after so many failures: from `first` doubling to `longest`, give or take a half."""
    seconds = min(first.total_seconds() * 2.0 ** min(attempts - 1, 60), longest.total_seconds())
    return seconds * random.uniform(1 - _SPREAD, 1 + _SPREAD)  # noqa: S311 - nothing secret depends on it
