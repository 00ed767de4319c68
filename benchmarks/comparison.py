"""Two contenders measured in turn, and what comes of it: ratios, one for each round."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from statistics import mean, median, quantiles

from benchmarks.contender import CAN_MEASURE_CPU, Contender


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityRecord:
    """How much is measured.

    Args:
        sagas: How many a side and round, first one at a time and then at once; two or more.
        rounds: How often; every round gives one ratio.
        at_once: How many sagas are open at the same time.
    """

    sagas: int
    rounds: int
    at_once: int

    @property
    def batches(self) -> int:
        """How many batches of sagas that run at once are in a round."""
        return max(self.sagas // self.at_once, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One thing that was measured on both sides, once a round."""

    name: str
    unit: str
    ours: tuple[float, ...]
    baseline: tuple[float, ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        """Ours by the baseline's, round by round."""
        return tuple(one / other for one, other in zip(self.ours, self.baseline, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What was found out about two contenders.

    Args:
        name: For the command line and for programs.
        title: For people.
        ours: What our side is called.
        baseline: What the other side is called.
        effort: How much was measured.
        figures: Everything that was measured.
    """

    name: str
    title: str
    ours: str
    baseline: str
    effort: ActivityRecord
    figures: tuple[Figure, ...]


Measured = dict[tuple[str, str], float]
"""By name and unit, what one side did in one round."""


class Side:
    """What one contender did in one round."""

    def __init__(self, contender: Contender, *, refused: bool) -> None:
        self.contender, self.refused = contender, refused
        self.latencies: list[float] = []
        self.ids: list[str] = []
        self.batches: list[float] = []
        self.cpu: list[float] = []

    async def run_one(self) -> None:
        """Runs one saga, and takes its time and its CPU."""
        began, cpu = time.perf_counter(), self.contender.cpu
        self.ids.append(await self.contender.run(refused=self.refused))
        self.latencies.append(time.perf_counter() - began)
        self.cpu.append(self.contender.cpu - cpu)

    async def run_batch(self, size: int) -> None:
        """Runs so many sagas at once, and takes their time."""
        began = time.perf_counter()
        await asyncio.gather(*(self.contender.run(refused=self.refused) for _ in range(size)))
        self.batches.append((time.perf_counter() - began) / size)

    async def measured(self, cpu_of: str) -> Measured:
        """The figures of the round."""
        traces = [await self.contender.trace(saga_id) for saga_id in self.ids]
        cuts = quantiles(self.latencies, n=20, method="inclusive")
        figures = {
            ("history events", ""): median(trace.events for trace in traces),
            ("workflow tasks", ""): median(trace.workflow_tasks for trace in traces),
            ("history size", "KiB"): median(trace.size for trace in traces) / 1024,
            ("latency p50", "ms"): cuts[9] * 1000,
            ("latency p95", "ms"): cuts[18] * 1000,
            ("throughput", "/s"): 1 / mean(self.batches),
        }
        if CAN_MEASURE_CPU:
            # The median, as a busy neighbour makes single sagas dear and none cheap.
            figures[f"{cpu_of} CPU", "ms"] = median(self.cpu) * 1000
        return figures


async def compare(
    ours: Contender, baseline: Contender, effort: ActivityRecord, *, refused: bool, cpu_of: str
) -> tuple[Figure, ...]:
    """Measures two contenders in turn, so that what disturbs the machine disturbs both.

    They alternate saga by saga, then batch by batch of sagas that run at once; who begins alternates too.

    Args:
        ours: The one that is measured.
        baseline: The one that it is measured by.
        effort: How much is measured.
        refused: Whether the carrier refuses, so that everything is compensated.
        cpu_of: Whose CPU the contenders tell: the worker's or the server's.
    """
    await _warm_up(ours, baseline, effort, refused=refused)
    rounds: list[tuple[Measured, Measured]] = []
    for _ in range(effort.rounds):
        one, other = Side(ours, refused=refused), Side(baseline, refused=refused)
        for side in _alternating(one, other, effort.sagas):
            await side.run_one()
        for side in _alternating(one, other, effort.batches):
            await side.run_batch(effort.at_once)
        rounds.append((await one.measured(cpu_of), await other.measured(cpu_of)))
    return tuple(
        Figure(
            name=name,
            unit=unit,
            ours=tuple(one[name, unit] for one, _ in rounds),
            baseline=tuple(other[name, unit] for _, other in rounds),
        )
        for name, unit in rounds[0][0]
    )


async def _warm_up(ours: Contender, baseline: Contender, effort: ActivityRecord, *, refused: bool) -> None:
    """Lets both sides import and connect what they need, and proves that both do the same work."""
    sides = [Side(contender, refused=refused) for contender in (ours, baseline)]
    for side in sides:
        await side.run_batch(effort.at_once)
        await side.run_one()
    one, other = [await side.contender.trace(side.ids[0]) for side in sides]
    for ask, counterpart in zip_longest(one.asked, other.asked):
        if ask != counterpart:
            raise RuntimeError(f"the sides do not do the same work:\n{ask}\n{counterpart}")


def _alternating(one: Side, other: Side, times: int) -> Iterator[Side]:
    for number in range(times):
        yield from (one, other) if number % 2 == 0 else (other, one)
