"""Exponential back-off: the pauses between attempts, for the relay, the outbox and the connections."""

import random
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """A pause doubling from `first` to `longest`, multiplied by a random factor.

    Args:
        first: The pause after the first failure.
        longest: The upper limit of the pause, before the random factor.
        jitter: The range of the random factor, which spreads the retries of different processes.
    """

    first: timedelta
    longest: timedelta
    jitter: tuple[float, float] = (0.5, 1.5)

    def interval_after(self, failures: int) -> timedelta:
        """Computes the pause after at least 1 consecutive failure."""
        # Capped: 2 to the power of 1024 is too large for a float.
        doubled = self.first.total_seconds() * 2.0 ** min(failures - 1, 60)
        factor = random.uniform(*self.jitter)  # noqa: S311 - not a secret
        return timedelta(seconds=min(doubled, self.longest.total_seconds()) * factor)
