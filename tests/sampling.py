"""Samples of exhaustive tests: `make sweeps` runs a daily sample, and `make sweeps-all` runs all cases.

The cases of a sweep are shuffled in the same way on every machine, and dealt into consecutive windows. A seed
chooses the window. The default seed is the number of the day, so the samples of consecutive days are disjoint
until all cases have run. `--sweep-seed` repeats the sample of another day; the summary prints the seed.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sampler:
    """Chooses the cases of each sweep.

    Args:
        seed: Chooses the window of every sweep.
        is_exhaustive: Whether every sweep runs all cases.
    """

    seed: int
    is_exhaustive: bool = False

    def choose(self, name: str, cases: Sequence[T], size: int) -> list[T]:
        """Chooses `size` cases of a sweep, or all cases, in their given order.

        Args:
            name: Seeds the shuffle of the sweep.
            cases: All cases, in the same order on every machine.
            size: The size of the sample.
        """
        if self.is_exhaustive or size >= len(cases):
            return list(cases)
        places = list(range(len(cases)))
        random.Random(name).shuffle(places)
        start = self.seed * size
        chosen = {places[(start + offset) % len(places)] for offset in range(size)}
        return [case for place, case in enumerate(cases) if place in chosen]

    def __str__(self) -> str:
        return "all cases" if self.is_exhaustive else f"a sample, repeated by SWEEP_SEED={self.seed}"


def seed_of_today() -> int:
    """The number of the current day (UTC), as in `datetime.date.toordinal`."""
    return datetime.now(UTC).toordinal()
