"""The scenarios of the repeated steps."""

from temporalio.client import Client

from examples.patterns.operations import Receipt
from examples.patterns.repeated_steps import LoadingSaga, sail, weigh
from sagas import Compensated, Completed
from sagas.testing import SagaRun, answers, rejects, run_saga


async def heavy_container_leaves(client: Client) -> SagaRun:
    """The second of three containers is too heavy: only this container is unloaded."""
    steps = {"weigh-container#2": rejects("too_heavy")}
    run = await run_saga(LoadingSaga.run, 3, client=client, steps=steps)
    outcome = run.assert_outcome(Completed)
    assert outcome.result == [1, 3]
    run.assert_remaining_effects("load-container", "load-container#3", "sail-ship")
    return run


async def first_container_leaves(client: Client) -> SagaRun:
    """The first container is too heavy: the first execution of a step has an address without a number."""
    steps = {weigh: rejects("too_heavy"), "weigh-container#2": answers(Receipt(number="w-2"))}
    run = await run_saga(LoadingSaga.run, 2, client=client, steps=steps)
    run.assert_remaining_effects("load-container#2", "sail-ship")
    return run


async def ship_does_not_sail(client: Client) -> SagaRun:
    """The ship does not sail: each container on board is unloaded once, the newest first."""
    steps = {"weigh-container#2": rejects("too_heavy"), sail: rejects("storm")}
    run = await run_saga(LoadingSaga.run, 3, client=client, steps=steps)
    run.assert_outcome(Compensated, code="storm")
    run.assert_trace(
        *("load-container", "weigh-container"),
        *("load-container#2", "weigh-container#2 rejected", "compensate load-container#2"),
        *("load-container#3", "weigh-container#3", "sail-ship rejected"),
        *("compensate load-container#3", "compensate load-container"),
    )
    run.assert_remaining_effects()
    return run
