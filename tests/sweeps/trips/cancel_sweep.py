"""The runs of a saga shape: an undisturbed run, and one run for each interruption point and cache size."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import cycle

from temporalio.client import Client

from ..interruption_points import InterruptionPoint, Timing, idle_points, interruption_points
from ..saga_histories import common_length, insertion_points
from ..strict_replay import replay_strictly
from .cancelled_run import WORKFLOWS, CancelledRun, Evidence
from .promises import check
from .saga_shapes import SagaShape

RUNS_AT_ONCE = 12
SHAPES_AT_ONCE = 2
"""While the last runs of a shape end, the runs of the next shape start."""
CACHED, EVICTED = 1000, 0

ACTIVITY_TIMINGS = {
    Timing.ACTIVITY_STARTED,
    Timing.REPLY_PENDING,
    Timing.ACTIVITY_QUEUED,
    Timing.WITH_COMPLETION,
}
"""Timings that do not determine the history where several activities are open."""

CACHE_INDEPENDENT_TIMINGS = {Timing.ACTIVITY_STARTED, Timing.AFTER_CLOSE}
"""Timings that a workflow cannot distinguish from another timing, so that one cache size is enough: only the
participant knows whether the action took effect before the cancel (see `REPLY_PENDING`), and a closed
workflow processes no cancel."""

WORKFLOW_TIMINGS = {Timing.BEFORE_TASK, Timing.DURING_TASK, Timing.WITH_COMPLETION}
"""Timings inside the workflow: together they reach every insertion point of a history."""


@dataclass(frozen=True, slots=True)
class CancelCase:
    """A cancel at an interruption point, with or without a workflow cache."""

    cache: int
    point: InterruptionPoint


Choose = Callable[[SagaShape, list[CancelCase]], list[CancelCase]]


@dataclass(frozen=True, slots=True)
class ShapeSweep:
    """The undisturbed run of a shape, and the cancelled runs."""

    undisturbed: Evidence
    runs: list[Evidence]
    replayed: int
    number_of_cases: int

    @property
    def wanted_places(self) -> dict[tuple[str, int], frozenset[int]]:
        """The places at which a cancel can stand in the histories of the undisturbed run."""
        return {(h.path, h.run): insertion_points(h.events) for h in self.undisturbed.histories}

    @property
    def cancelled_places(self) -> dict[tuple[str, int], frozenset[int]]:
        """The places of the undisturbed histories at which the cancels of the runs stand.

        Raises:
            AssertionError: A cancel stands at another place than the place of its interruption point.
        """
        undisturbed = {(history.path, history.run): history for history in self.undisturbed.histories}
        found: defaultdict[tuple[str, int], set[int]] = defaultdict(set)
        for run in self.runs:
            for history in run.histories:
                if history.cancelled_at is None:
                    continue
                place = common_length(undisturbed[history.path, history.run].events, history.events)
                found[history.path, history.run].add(place)
                is_determined = not (
                    run.shape.reply_order and run.point and run.point.timing in ACTIVITY_TIMINGS
                )
                if (
                    is_determined
                    and run.point
                    and (run.point.path, run.point.run) == (history.path, history.run)
                ):
                    assert place == self._place_of(run.point), f"{run.root_id} {run.point}: {place}"
        return {key: frozenset(found[key]) for key in undisturbed}

    @property
    def unwanted_places(self) -> dict[tuple[str, int], frozenset[int]]:
        """The places at which a cancel stands, and at which no cancel can stand."""
        places, wanted = self.cancelled_places, self.wanted_places
        return {key: places[key] - wanted[key] for key in wanted if places[key] - wanted[key]}

    def report(self) -> str:
        """The line of the report: the numbers of runs and histories, and the places of the cancels."""
        places, wanted = self.cancelled_places, self.wanted_places
        return (
            f"{self.undisturbed.shape.name}: {len(self.runs) + 1} runs of {self.number_of_cases + 1}, "
            f"{self.replayed} histories replayed, "
            f"cancels at {sum(map(len, places.values()))} of {sum(map(len, wanted.values()))} places: "
            + "; ".join(f"{path or 'root'} after {sorted(ids)}" for (path, _), ids in places.items())
        )

    def _place_of(self, point: InterruptionPoint) -> int:
        """The place of an interruption point in the undisturbed history."""
        history = next(
            each for each in self.undisturbed.histories if (each.path, each.run) == (point.path, point.run)
        )
        return min(place for place in insertion_points(history.events) if place >= point.event)


@asynccontextmanager
async def sweep_shapes(
    clients: tuple[Client, ...], shapes: Iterable[SagaShape], choose: Choose
) -> AsyncIterator[dict[str, "asyncio.Task[ShapeSweep]"]]:
    """Sweeps shapes in their order, ahead of the tests that await the tasks; cancels the rest at the end.

    Args:
        clients: The connections.
        shapes: The shapes.
        choose: Chooses the cases of a shape.
    """
    shapes_at_once, runs_at_once = asyncio.Semaphore(SHAPES_AT_ONCE), asyncio.Semaphore(RUNS_AT_ONCE)

    async def sweep(shape: SagaShape) -> ShapeSweep:
        async with shapes_at_once:
            return await _sweep_shape(clients, shape, choose, runs_at_once)

    tasks = {shape.name: asyncio.create_task(sweep(shape)) for shape in shapes}
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


async def _sweep_shape(
    clients: tuple[Client, ...], shape: SagaShape, choose: Choose, runs_at_once: asyncio.Semaphore
) -> ShapeSweep:
    """Runs a shape once for each chosen case, and checks every promise on every run."""
    undisturbed = await CancelledRun(clients[0], shape, EVICTED).run()
    check(undisturbed)
    cases = _cases_of(shape, undisturbed)
    depth = 1 + max(history.depth for history in undisturbed.histories)

    async def run(cancelled_run: CancelledRun) -> Evidence:
        async with runs_at_once:
            evidence = await cancelled_run.run()
        check(evidence, undisturbed)
        return evidence

    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(run(CancelledRun(client, shape, case.cache, case.point, depth)))
            for case, client in zip(choose(shape, cases), cycle(clients), strict=False)
        ]
    runs = [task.result() for task in running]
    replayed = await replay_strictly(WORKFLOWS, (history.raw for run in runs for history in run.histories))
    return ShapeSweep(undisturbed, runs, replayed, len(cases))


def _cases_of(shape: SagaShape, undisturbed: Evidence) -> list[CancelCase]:
    points: Sequence[InterruptionPoint] = interruption_points(
        undisturbed.histories, undisturbed.participants.requests, undisturbed.root_id
    )
    if shape.external_act:
        points = [*points, *idle_points(undisturbed.histories)]
    return [
        CancelCase(cache, point)
        for cache in (CACHED, EVICTED)
        for point in points
        if _is_case(shape, point, cache)
    ]


def _is_case(shape: SagaShape, point: InterruptionPoint, cache: int) -> bool:
    if shape.is_sandboxed:
        # A sandboxed run takes many times as long, and longer without a cache: each task imports the modules.
        return cache == CACHED and point.timing in WORKFLOW_TIMINGS
    return cache == CACHED or point.timing not in CACHE_INDEPENDENT_TIMINGS
