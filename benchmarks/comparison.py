"""Measures two workers in turn and compares them: each figure is a ratio per round."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from statistics import mean, median, quantiles

from benchmarks.worker_under_test import CAN_MEASURE_CPU, WorkerUnderTest


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSize:
    """The size of a benchmark.

    Args:
        sagas: The number of sagas per side and round that run one at a time; two or more.
        rounds: The number of rounds; each round gives a ratio.
        at_once: The number of concurrent sagas in a batch.
    """

    sagas: int
    rounds: int
    at_once: int

    @property
    def batches(self) -> int:
        """The number of batches of concurrent sagas per side and round."""
        return max(self.sagas // self.at_once, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure of both sides, one value per round."""

    name: str
    unit: str
    ours: tuple[float, ...]
    baseline: tuple[float, ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        """Our value divided by the baseline's value, per round."""
        return tuple(ours / baseline for ours, baseline in zip(self.ours, self.baseline, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The result of comparing two workers.

    Args:
        name: The name for the command line and for programs.
        title: The title for people.
        ours: The name of our side.
        baseline: The name of the other side.
        size: The size of the benchmark.
        figures: All figures.
    """

    name: str
    title: str
    ours: str
    baseline: str
    size: SampleSize
    figures: tuple[Figure, ...]


Values = dict[tuple[str, str], float]
"""The values of a side in a round, by name and unit."""


class Round:
    """The measurements of a side in a round.

    Args:
        worker: The worker of the side.
        refused: Whether the shipment is refused and every step compensated.
    """

    def __init__(self, worker: WorkerUnderTest, *, refused: bool) -> None:
        self.worker, self.refused = worker, refused
        self.latencies: list[float] = []
        self.ids: list[str] = []
        self.batches: list[float] = []
        self.cpu: list[float] = []

    async def run_one(self) -> None:
        """Runs a saga and records its latency and CPU time."""
        started, cpu = time.perf_counter(), self.worker.cpu_seconds
        self.ids.append(await self.worker.run(refused=self.refused))
        self.latencies.append(time.perf_counter() - started)
        self.cpu.append(self.worker.cpu_seconds - cpu)

    async def run_batch(self, size: int) -> None:
        """Runs `size` sagas concurrently and records the mean time per saga."""
        started = time.perf_counter()
        await asyncio.gather(*(self.worker.run(refused=self.refused) for _ in range(size)))
        self.batches.append((time.perf_counter() - started) / size)

    async def values(self, cpu_of: str) -> Values:
        """Computes the values of the round."""
        histories = [await self.worker.summarize(saga_id) for saga_id in self.ids]
        cuts = quantiles(self.latencies, n=20, method="inclusive")
        values = {
            ("history events", ""): median(history.events for history in histories),
            ("workflow tasks", ""): median(history.workflow_tasks for history in histories),
            ("history size", "KiB"): median(history.size for history in histories) / 1024,
            ("latency p50", "ms"): cuts[9] * 1000,
            ("latency p95", "ms"): cuts[18] * 1000,
            ("throughput", "/s"): 1 / mean(self.batches),
        }
        if CAN_MEASURE_CPU:
            # The median: a busy machine makes some sagas more expensive and none cheaper.
            values[f"{cpu_of} CPU", "ms"] = median(self.cpu) * 1000
        return values


async def compare(
    ours: WorkerUnderTest, baseline: WorkerUnderTest, size: SampleSize, *, refused: bool, cpu_of: str
) -> tuple[Figure, ...]:
    """Measures two workers in turn, so that other load on the machine affects both alike.

    The sides alternate per saga, then per batch of concurrent sagas; the first side alternates, too.

    Args:
        ours: The worker to measure.
        baseline: The worker to compare with.
        size: The size of the benchmark.
        refused: Whether the shipment is refused and every step compensated.
        cpu_of: The process whose CPU time the workers report: `worker` or `server`.
    """
    await _warm_up(ours, baseline, size, refused=refused)
    rounds: list[tuple[Values, Values]] = []
    for _ in range(size.rounds):
        first, second = Round(ours, refused=refused), Round(baseline, refused=refused)
        for side in _alternating(first, second, size.sagas):
            await side.run_one()
        for side in _alternating(first, second, size.batches):
            await side.run_batch(size.at_once)
        rounds.append((await first.values(cpu_of), await second.values(cpu_of)))
    return tuple(
        Figure(
            name=name,
            unit=unit,
            ours=tuple(first[name, unit] for first, _ in rounds),
            baseline=tuple(second[name, unit] for _, second in rounds),
        )
        for name, unit in rounds[0][0]
    )


async def _warm_up(
    ours: WorkerUnderTest, baseline: WorkerUnderTest, size: SampleSize, *, refused: bool
) -> None:
    """Warms both sides up, and checks that both sides schedule the same activities.

    Raises:
        RuntimeError: The sides schedule different activities.
    """
    sides = [Round(worker, refused=refused) for worker in (ours, baseline)]
    for side in sides:
        await side.run_batch(size.at_once)
        await side.run_one()
    first, second = [await side.worker.summarize(side.ids[0]) for side in sides]
    for activity, counterpart in zip_longest(first.activities, second.activities):
        if activity != counterpart:
            raise RuntimeError(f"the sides schedule different activities:\n{activity}\n{counterpart}")


def _alternating(first: Round, second: Round, times: int) -> Iterator[Round]:
    for number in range(times):
        yield from (first, second) if number % 2 == 0 else (second, first)
