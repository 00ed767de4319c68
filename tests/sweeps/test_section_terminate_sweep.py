"""Sagas with sections, alternatives and compensated steps are terminated after each event, and rescued."""

import asyncio

import pytest
from temporalio.client import Client

from tests.sampling import Sampler

from .trips.saga_shapes import SHAPES, SagaShape
from .trips.terminated_run import TerminatedRun

pytestmark = [pytest.mark.sweep, pytest.mark.asyncio(loop_scope="session")]

TERMINATIONS_OF_A_SHAPE = 12
RUNS_AT_ONCE = 8


@pytest.mark.parametrize("shape", [each for each in SHAPES if each.sections], ids=lambda shape: shape.name)
async def test_a_saga_that_is_terminated_after_any_event_is_rescued(
    sweep_clients: tuple[Client, ...], shape: SagaShape, sampler: Sampler, report: list[str]
) -> None:
    """The saga has every effect once, or no effect."""
    undisturbed = TerminatedRun(sweep_clients[0], shape)
    await undisturbed.run()
    cases = [(events, cache) for events in range(1, undisturbed.length + 1) for cache in (1000, 0)]
    chosen = sampler.choose(f"terminated {shape.name}", cases, TERMINATIONS_OF_A_SHAPE)
    at_once = asyncio.Semaphore(RUNS_AT_ONCE)

    async def terminate(events: int, cache: int) -> str:
        async with at_once:
            run = TerminatedRun(sweep_clients[events % len(sweep_clients)], shape, events, cache)
            await run.run()
            run.check(undisturbed)
            return run.decision.value if run.decision else "closed before"

    decisions = await asyncio.gather(*(terminate(*case) for case in chosen))

    counts = ", ".join(f"{decisions.count(each)} {each}" for each in sorted(set(decisions)))
    report.append(f"{shape.name}: {len(chosen)} of {len(cases)} terminations: {counts}")
