"""What a comparison finds, as data; written as JSON, drawn as a table and as a page."""

import math
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict


class Figures(BaseModel):
    """Immutable, and written as JSON under the names of its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Percentiles(Figures):
    """How long something took, in milliseconds, by nearest rank; 0 where nothing was measured."""

    p50: float
    p95: float
    p99: float
    count: int

    @classmethod
    def of(cls, samples: Sequence[float]) -> "Percentiles":
        """Of durations in milliseconds."""
        p50, p95, p99 = (percentile(samples, share) for share in (0.50, 0.95, 0.99))
        return cls(p50=p50, p95=p95, p99=p99, count=len(samples))


class Latency(Percentiles):
    """From acceptance to the end; and, for orders that failed, from the failure to compensated."""

    failure_to_compensated: Percentiles

    @property
    def whole(self) -> Percentiles:
        """From acceptance to the end alone."""
        return Percentiles(p50=self.p50, p95=self.p95, p99=self.p99, count=self.count)


class Samples(Figures):
    """Every single duration in milliseconds, in ascending order."""

    acceptance_to_end: tuple[float, ...]
    failure_to_compensated: tuple[float, ...]


class Process(Figures):
    """What one process has used per saga; and per second when there was nothing to do."""

    cpu_ms: float
    written_kib: float
    idle_cpu_ms_per_s: float


class Conditions(Figures):
    """Under which circumstances a style was measured.

    Args:
        orders: How many.
        concurrency: How many were under way at a time.
        seed: What they were made from.
        cores: How many there are for everything.
        cores_of_others: How many of them were busy with something else meanwhile.
        seconds: How long it took.
    """

    orders: int
    concurrency: int
    seed: int
    cores: int
    cores_of_others: float
    seconds: float


class WiringFile(Figures):
    """How many lines of a file are wiring."""

    file: str
    lines: int


class StyleFigures(Figures):
    """What one style costs, and what it survives.

    Args:
        conditions: Under which it was measured.
        end_states: How many orders have ended in which way, as the services see it.
        latency_alone_ms: With one order at a time, each of which goes well.
        acceptance_ms: How long the placing call took under the load, before the clock of `latency_ms` starts.
        latency_ms: Under the load; see docs/choosing.md for when the clock starts and stops.
        throughput_per_s: Sagas from the first acceptance to the last end.
        messages_per_saga: Everything that was handed to a process of the application.
        messages_by_kind: The same by kind.
        stored_per_saga: What is stored only to run sagas in this style.
        database_writes_per_saga: Transactions of the services that changed something.
        cpu_ms_per_saga: Of all processes that the style needs, by name.
        processes: More about each of them.
        recovery_s: From a SIGKILL in the middle of a saga to its end.
        killed: What was killed for it.
        wiring_lines: Neither blank nor comment nor docstring.
        wiring: Where they are.
        knows: Who has to know which operations or facts of whom.
        state_is_asked_at: Where to look for how a saga stands.
        samples_ms: Every duration.
    """

    conditions: Conditions
    end_states: dict[str, int]
    latency_alone_ms: Percentiles
    acceptance_ms: Percentiles
    latency_ms: Latency
    throughput_per_s: float
    messages_per_saga: float
    messages_by_kind: dict[str, float]
    stored_per_saga: dict[str, float]
    database_writes_per_saga: float
    cpu_ms_per_saga: dict[str, float]
    processes: dict[str, Process]
    recovery_s: float
    killed: str
    wiring_lines: int
    wiring: tuple[WiringFile, ...]
    knows: dict[str, dict[str, tuple[str, ...]]]
    state_is_asked_at: tuple[str, ...]
    samples_ms: Samples


class Invariant(Figures):
    """Something that must be true in both styles, and whether it was."""

    name: str
    held: bool
    detail: str = ""


class Comparison(Figures):
    """Both styles, over the same orders and the same services."""

    identical_end_states: bool
    styles: dict[str, StyleFigures]
    invariants: tuple[Invariant, ...]

    @property
    def is_good(self) -> bool:
        """Whether every promise was kept."""
        return self.identical_end_states and all(each.held for each in self.invariants)


def percentile(samples: Sequence[float], share: float) -> float:
    """The smallest sample that at least `share` of all samples do not exceed: the nearest rank."""
    if not samples:
        return 0.0
    return sorted(samples)[max(0, math.ceil(share * len(samples)) - 1)]
