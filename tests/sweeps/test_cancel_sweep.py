"""Sagas of every shape are cancelled at every moment of their lives, and keep their promises."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import cycle

import pytest
import pytest_asyncio
from temporalio.client import Client

from .interruption_points import InterruptionPoint, Timing, interruption_points, resting
from .saga_histories import common_prefix, insertion_points
from .strict_replay import replay_strictly
from .trips.cancelled_run import WORKFLOWS, CancelledRun, Evidence
from .trips.promises import check
from .trips.saga_shapes import SHAPES, SagaShape

pytestmark = pytest.mark.asyncio(loop_scope="session")

AT_ONCE = 12
SHAPES_AT_ONCE = 2
"""While the last runs of one come to their end, those of the next begin."""
CACHED, EVICTED = 1000, 0

OF_ACTIVITIES = {Timing.BEGUN, Timing.ANSWERED, Timing.UNTAKEN, Timing.TOGETHER}
"""What does not pin a history in which several activities are under way."""

OF_PARTICIPANTS = {Timing.BEGUN, Timing.AFTER_END}
"""What a workflow cannot tell from another moment, so that it is all one to it whether it is cached: whether
a participant that was asked has acted before the cancel or after it, as in `ANSWERED`, only that participant
knows; and after the end there is no workflow that could hear of anything."""

OF_WORKFLOWS = {Timing.BEFORE_TASK, Timing.DURING_TASK, Timing.TOGETHER}
"""What goes on in the workflow itself: they are at all gaps of its history."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """All runs of a shape: one that is left alone, and one for each moment at which it is cancelled."""

    undisturbed: Evidence
    points: list[InterruptionPoint]
    runs: list[Evidence]
    replayed: int


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def sweeps(
    sweep_clients: tuple[Client, ...], request: pytest.FixtureRequest
) -> AsyncIterator[dict[str, asyncio.Task[Sweep]]]:
    """The sweeps that the tests to come ask for, and take out; they run ahead of them."""
    callspecs = (getattr(item, "callspec", None) for item in request.session.items)
    shapes = [spec.params["shape"] for spec in callspecs if spec and "shape" in spec.params]
    few, room = asyncio.Semaphore(SHAPES_AT_ONCE), asyncio.Semaphore(AT_ONCE)

    async def sweep(shape: SagaShape) -> Sweep:
        async with few:
            return await _sweep(sweep_clients, shape, room)

    tasks = {shape.name: asyncio.create_task(sweep(shape)) for shape in shapes}
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
async def test_cancel_at_every_moment_breaks_no_promise(
    sweeps: dict[str, asyncio.Task[Sweep]], shape: SagaShape, report: list[str]
) -> None:
    """Before and after each event of its history and of its children's, with and without a worker's cache."""
    sweep = await sweeps.pop(shape.name)

    covered = _positions(sweep.runs, sweep.undisturbed)
    wanted = {
        (run_history.path, run_history.run): insertion_points(run_history.events)
        for run_history in sweep.undisturbed.run_histories
    }
    places = sum(map(len, wanted.values()))
    report.append(
        f"{shape.name}: {len(sweep.runs) + 1} runs, {sweep.replayed} histories replayed, "
        f"{len(sweep.points)} moments, cancels at {sum(map(len, covered.values()))} of {places} gaps: "
        + "; ".join(f"{path or 'root'} after {sorted(ids)}" for (path, _), ids in covered.items())
    )
    assert covered == wanted


async def _sweep(clients: tuple[Client, ...], shape: SagaShape, room: asyncio.Semaphore) -> Sweep:
    """Runs a shape once for each moment, and checks every promise on every run."""
    undisturbed = await CancelledRun(clients[0], shape, EVICTED).run()
    check(undisturbed)
    points = interruption_points(
        undisturbed.run_histories, undisturbed.participants.requests, undisturbed.root_id
    )
    if shape.outside:
        points += resting(undisturbed.run_histories)
    depth = 1 + max(run_history.depth for run_history in undisturbed.run_histories)

    async def run(course: CancelledRun) -> Evidence:
        async with room:
            evidence = await course.run()
        check(evidence, undisturbed)
        return evidence

    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(run(CancelledRun(client, shape, cache, point, depth)))
            for cache in (CACHED, EVICTED)
            for point, client in zip(points, cycle(clients), strict=False)
            if _is_run(shape, point, cache)
        ]
    runs = [task.result() for task in running]
    replayed = await replay_strictly(
        WORKFLOWS, (run_history.history for run in runs for run_history in run.run_histories)
    )
    return Sweep(undisturbed, points, runs, replayed)


def _is_run(shape: SagaShape, point: InterruptionPoint, cache: int) -> bool:
    if shape.is_sandboxed:
        # A run takes many times as long, and longer still where each task imports everything anew.
        return cache == CACHED and point.when in OF_WORKFLOWS
    return cache == CACHED or point.when not in OF_PARTICIPANTS


def _positions(runs: list[Evidence], undisturbed: Evidence) -> dict[tuple[str, int], frozenset[int]]:
    """Behind which events of the undisturbed histories a cancel stands in those of the runs."""
    as_ever = {(run_history.path, run_history.run): run_history for run_history in undisturbed.run_histories}
    found: defaultdict[tuple[str, int], set[int]] = defaultdict(set)
    for run in runs:
        for run_history in run.run_histories:
            if run_history.cancelled_at is None:
                continue
            place = common_prefix(as_ever[run_history.path, run_history.run].events, run_history.events)
            found[run_history.path, run_history.run].add(place)
            is_pinned = not (run.shape.in_turn and run.point and run.point.when in OF_ACTIVITIES)
            if (
                is_pinned
                and run.point
                and (run.point.path, run.point.run) == (run_history.path, run_history.run)
            ):
                assert place == _intended(run.point, undisturbed), f"{run.root_id} {run.point}: {place}"
    return {key: frozenset(found[key]) for key in as_ever}


def _intended(point: InterruptionPoint, undisturbed: Evidence) -> int:
    """Behind which event of the undisturbed history the cancel of a moment belongs."""
    run_history = next(e for e in undisturbed.run_histories if (e.path, e.run) == (point.path, point.run))
    return min(gap for gap in insertion_points(run_history.events) if gap >= point.event)
