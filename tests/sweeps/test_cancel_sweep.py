"""Sagas of every shape are cancelled at their interruption points, and keep the promises P1 to P9."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from temporalio.client import Client

from tests.sampling import Sampler

from .trips.cancel_sweep import CancelCase, ShapeSweep, sweep_shapes
from .trips.saga_shapes import SHAPES, SagaShape

pytestmark = [pytest.mark.sweep, pytest.mark.asyncio(loop_scope="session")]

CASES_OF_A_SHAPE = 24


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def sweeps(
    sweep_clients: tuple[Client, ...], selected_shapes: list[SagaShape], sampler: Sampler
) -> AsyncIterator[dict[str, asyncio.Task[ShapeSweep]]]:
    """The sweeps of the selected shapes, which run ahead of the tests."""

    def choose(shape: SagaShape, cases: list[CancelCase]) -> list[CancelCase]:
        return sampler.choose(shape.name, cases, CASES_OF_A_SHAPE)

    async with sweep_shapes(sweep_clients, selected_shapes, choose) as running:
        yield running


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
async def test_a_cancel_at_any_point_breaks_no_promise(
    sweeps: dict[str, asyncio.Task[ShapeSweep]], shape: SagaShape, sampler: Sampler, report: list[str]
) -> None:
    """Before and after each event of the histories of the saga and its children, with and without a cache."""
    sweep = await sweeps.pop(shape.name)

    report.append(sweep.report())
    if sampler.is_exhaustive:
        assert sweep.cancelled_places == sweep.wanted_places
    else:
        assert sweep.unwanted_places == {}
        assert len(sweep.runs) == min(CASES_OF_A_SHAPE, sweep.number_of_cases)
