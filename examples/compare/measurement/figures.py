"""The figures of a comparison as data: written as JSON, and presented as a table and a page."""

import math
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict


class Figures(BaseModel):
    """The base of all figures: immutable, and written as JSON under the names of the fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Percentiles(Figures):
    """Percentiles of durations in milliseconds, by nearest rank; 0 without samples."""

    p50: float
    p95: float
    p99: float
    count: int

    @classmethod
    def of(cls, samples: Sequence[float]) -> "Percentiles":
        """Computes the percentiles of durations in milliseconds."""
        p50, p95, p99 = (percentile(samples, share) for share in (0.50, 0.95, 0.99))
        return cls(p50=p50, p95=p95, p99=p99, count=len(samples))


class Latency(Percentiles):
    """The time from acceptance to the end, and for failed orders from the failure to compensated."""

    failure_to_compensated: Percentiles

    @property
    def whole(self) -> Percentiles:
        """The time from acceptance to the end alone."""
        return Percentiles(p50=self.p50, p95=self.p95, p99=self.p99, count=self.count)


class Samples(Figures):
    """All durations in milliseconds, in ascending order."""

    acceptance_to_end: tuple[float, ...]
    failure_to_compensated: tuple[float, ...]


class Process(Figures):
    """The resources of one process per saga, and the CPU per second while idle."""

    cpu_ms: float
    written_kib: float
    idle_cpu_ms_per_s: float


class Conditions(Figures):
    """The conditions under which a style was measured.

    Args:
        orders: The number of orders.
        concurrency: The number of orders in progress at a time.
        seed: The seed of the order plan.
        cores: The number of cores for all processes.
        cores_of_others: The number of cores kept busy by other programs meanwhile.
        seconds: The duration of the run.
    """

    orders: int
    concurrency: int
    seed: int
    cores: int
    cores_of_others: float
    seconds: float


class IntegrationFile(Figures):
    """A file with integration code, and the number of its lines."""

    file: str
    lines: int


class StyleFigures(Figures):
    """The costs of a style, and the recovery from a crash.

    Args:
        conditions: The conditions of the run.
        end_states: The number of orders per end state, according to the services.
        latency_alone_ms: The latency of completing orders, run singly.
        acceptance_ms: The duration of the start request under load, before the clock of `latency_ms` starts.
        latency_ms: The latency under load; docs/choosing.md defines the start and the end of the clock.
        throughput_per_s: Sagas per second from the first acceptance to the last end.
        messages_per_saga: All messages to processes of the application.
        messages_by_kind: The same, per kind of message.
        stored_per_saga: Records stored only to run sagas in this style.
        database_writes_per_saga: The writing transactions of the services.
        cpu_ms_per_saga: The CPU time of each process.
        processes: More figures of each process.
        recovery_s: The time from a SIGKILL in the middle of a saga to the end of the saga.
        killed: The killed process.
        integration_lines: The lines of integration code, without blank lines, comments and docstrings.
        integration_files: The files with integration code.
        dependencies: Per process, the called operations or consumed event types of each other service.
        status_sources: The places to read for the status of a saga as a whole.
        samples_ms: All durations.
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
    integration_lines: int
    integration_files: tuple[IntegrationFile, ...]
    dependencies: dict[str, dict[str, tuple[str, ...]]]
    status_sources: tuple[str, ...]
    samples_ms: Samples


class Invariant(Figures):
    """A required condition of both styles, and the result of the check."""

    name: str
    held: bool
    detail: str = ""


class Comparison(Figures):
    """The figures of both styles, over the same orders and the same services."""

    identical_end_states: bool
    styles: dict[str, StyleFigures]
    invariants: tuple[Invariant, ...]

    @property
    def is_good(self) -> bool:
        """Whether the end states are identical and every invariant held."""
        return self.identical_end_states and all(each.held for each in self.invariants)


def percentile(samples: Sequence[float], share: float) -> float:
    """Returns the smallest sample that at least `share` of all samples do not exceed: the nearest rank."""
    if not samples:
        return 0.0
    return sorted(samples)[max(0, math.ceil(share * len(samples)) - 1)]
