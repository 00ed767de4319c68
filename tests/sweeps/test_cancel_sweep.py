"""Sagas of every shape are cancelled at every moment of their lives, and keep their promises."""

import asyncio
from collections import defaultdict
from itertools import cycle

import pytest
from temporalio.client import Client

from .histories import common_prefix, gaps
from .moments import Moment, When, moments_of, resting
from .promises import check
from .recorded import replay_strictly
from .shapes import SHAPES, Shape
from .sweep import WORKFLOWS, Course, Evidence

pytestmark = pytest.mark.asyncio(loop_scope="session")

AT_ONCE = 10
CACHED, EVICTED = 1000, 0

OF_ACTIVITIES = {When.BEGUN, When.ANSWERED, When.UNTAKEN, When.TOGETHER}
"""What does not pin a history in which several activities are under way."""

OF_PARTICIPANTS = {When.BEGUN, When.ANSWERED, When.UNTAKEN, When.AFTER_END}
"""What goes on outside of the workflow, which hears of the cancel alone: the cache makes no difference."""


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
async def test_cancel_at_every_moment_breaks_no_promise(
    swept: tuple[Client, ...], shape: Shape, report: list[str]
) -> None:
    """Before and after each event of its history and of its children's, with and without a worker's cache."""
    undisturbed = await Course(swept[0], shape, EVICTED).run()
    check(undisturbed)
    moments = moments_of(undisturbed.lines, undisturbed.participants.requests, undisturbed.root_id)
    if shape.outside:
        moments += resting(undisturbed.lines)
    depth = 1 + max(line.depth for line in undisturbed.lines)

    courses = [
        Course(client, shape, cache, moment, depth)
        for cache in (CACHED, EVICTED)
        for moment, client in zip(moments, cycle(swept), strict=False)
        if cache == CACHED or moment.when not in OF_PARTICIPANTS
    ]
    runs = await _all_of(courses)

    for run in runs:
        check(run, undisturbed)
    replayed = await replay_strictly(WORKFLOWS, (line.history for run in runs for line in run.lines))
    covered = _positions(runs, undisturbed)
    wanted = {(line.path, line.run): gaps(line.events) for line in undisturbed.lines}
    places = sum(map(len, wanted.values()))
    report.append(
        f"{shape.name}: {len(runs) + 1} runs, {replayed} histories replayed, "
        f"{len(moments)} moments, cancels at {sum(map(len, covered.values()))} of {places} gaps: "
        + "; ".join(f"{path or 'root'} after {sorted(ids)}" for (path, _), ids in covered.items())
    )
    assert covered == wanted


async def _all_of(courses: list[Course]) -> list[Evidence]:
    """Runs them, a few at a time."""
    room = asyncio.Semaphore(AT_ONCE)

    async def run(course: Course) -> Evidence:
        async with room:
            return await course.run()

    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(run(course)) for course in courses]
    return [task.result() for task in running]


def _positions(runs: list[Evidence], undisturbed: Evidence) -> dict[tuple[str, int], frozenset[int]]:
    """Behind which events of the undisturbed histories a cancel stands in those of the runs."""
    as_ever = {(line.path, line.run): line for line in undisturbed.lines}
    found: defaultdict[tuple[str, int], set[int]] = defaultdict(set)
    for run in runs:
        for line in run.lines:
            if line.cancelled_at is None:
                continue
            place = common_prefix(as_ever[line.path, line.run].events, line.events)
            found[line.path, line.run].add(place)
            is_pinned = not (run.shape.in_turn and run.moment and run.moment.when in OF_ACTIVITIES)
            if is_pinned and run.moment and (run.moment.path, run.moment.run) == (line.path, line.run):
                assert place == _intended(run.moment, undisturbed), f"{run.root_id} {run.moment}: {place}"
    return {key: frozenset(found[key]) for key in as_ever}


def _intended(moment: Moment, undisturbed: Evidence) -> int:
    """Behind which event of the undisturbed history the cancel of a moment belongs."""
    line = next(e for e in undisturbed.lines if (e.path, e.run) == (moment.path, moment.run))
    return min(gap for gap in gaps(line.events) if gap >= moment.event)
