"""The run of a style over all planned orders, and the costs per saga."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .figures import Conditions, Process
from .load import Load, PlacedOrder
from .process_usage import Usage
from .resources import Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The run of a style, with the readings before and after.

    Args:
        style: The name of the style.
        load: The load.
        names: The processes of the style.
        placed: The orders under load.
        before: The reading before the first order.
        after: The reading after the last order.
        idle: The milliseconds of CPU per second of each idle process.
        alone: The orders run singly, before the load.
    """

    style: str
    load: Load
    names: tuple[str, ...]
    placed: tuple[PlacedOrder, ...]
    before: Reading
    after: Reading
    idle: Mapping[str, float]
    alone: tuple[PlacedOrder, ...]

    @property
    def saga_ids(self) -> list[str]:
        """The ids of the sagas under load."""
        return [each.saga_id for each in self.placed]

    @property
    def conditions(self) -> Conditions:
        """The conditions of the run."""
        return Conditions(
            orders=len(self.placed),
            concurrency=self.load.concurrency,
            seed=self.load.seed,
            cores=len(os.sched_getaffinity(0)),
            cores_of_others=self._cores_of_others,
            seconds=round(self.after.at_seconds - self.before.at_seconds, 2),
        )

    @property
    def processes(self) -> dict[str, Process]:
        """The resources of each process of the style, per saga."""
        return {
            name: Process(
                cpu_ms=per_order(used.cpu_ms, self.placed),
                written_kib=per_order(used.written_kib, self.placed),
                idle_cpu_ms_per_s=round(self.idle.get(name, 0.0), 2),
            )
            for name in self.names
            for used in (self._used[name],)
        }

    @property
    def database_writes(self) -> float:
        """The writing transactions of all services, per saga."""
        return per_order(self.after.writes - self.before.writes, self.placed)

    @property
    def published_events(self) -> float:
        """The events published by all services, per saga."""
        return per_order(self.after.published - self.before.published, self.placed)

    @property
    def _used(self) -> dict[str, Usage]:
        return {name: used - self.before.usage[name] for name, used in self.after.usage.items()}

    @property
    def _cores_of_others(self) -> float:
        ours = sum(used.cpu_ms for used in self._used.values()) + self.after.own_ms - self.before.own_ms
        others = self.after.busy_ms - self.before.busy_ms - ours
        return round(max(0.0, others) / 1000 / (self.after.at_seconds - self.before.at_seconds), 2)


def per_saga(counted: Counter[str], placed: Sequence[PlacedOrder]) -> dict[str, float]:
    """Returns the means of counters over all sagas."""
    return {name: per_order(number, placed) for name, number in counted.items()}


def per_order(total: float, placed: Sequence[PlacedOrder]) -> float:
    """Returns the mean over all orders; 0 without orders."""
    return round(total / len(placed), 3) if placed else 0.0
