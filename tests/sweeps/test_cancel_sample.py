"""Sagas of every shape are cancelled once for each timing, and keep the promises P1 to P9."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from temporalio.client import Client

from .trips.cancel_sweep import CancelCase, ShapeSweep, sweep_shapes
from .trips.saga_shapes import SHAPES, SagaShape

pytestmark = pytest.mark.asyncio(loop_scope="session")


def one_of_each_timing(shape: SagaShape, cases: list[CancelCase]) -> list[CancelCase]:
    """A case of each timing, in turn with and without a cache; a single case for a sandboxed shape."""
    by_timing: dict[str, list[CancelCase]] = {}
    for case in cases:
        by_timing.setdefault(case.point.timing, []).append(case)
    # The cases with a cache come first, so the middle of each half has another cache size.
    chosen = [
        of_timing[len(of_timing) * (3 if number % 2 else 1) // 4]
        for number, of_timing in enumerate(by_timing.values())
    ]
    return chosen[:1] if shape.is_sandboxed else chosen


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def sweeps(
    sweep_clients: tuple[Client, ...], selected_shapes: list[SagaShape]
) -> AsyncIterator[dict[str, asyncio.Task[ShapeSweep]]]:
    """The sweeps of the selected shapes, running ahead of the tests."""
    async with sweep_shapes(sweep_clients, selected_shapes, one_of_each_timing) as running:
        yield running


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
async def test_one_cancel_of_each_timing_breaks_no_promise(
    sweeps: dict[str, asyncio.Task[ShapeSweep]], shape: SagaShape
) -> None:
    """The sweep of `make sweeps` cancels at more points, and `make sweeps-all` at every point."""
    sweep = await sweeps.pop(shape.name)

    assert sweep.unwanted_places == {}
    assert sweep.runs
