"""The runner: runs a saga with scripted participants on the server of a client."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, TypeVar

from temporalio.client import Client

from ._errors import SagaTestError
from ._saga_run import OpenSaga, SagaRun
from ._script.inputs import Input
from ._script.plan import RunOptions, SagaPlan, scripts_of
from ._script.responses import Script
from ._temporal.temporal_world import TemporalWorld

SelfT = TypeVar("SelfT")
I = TypeVar("I")  # noqa: E741 - the input, as in a step
Steps: TypeAlias = Mapping[Any, Script]
"""The keys are `ScriptKey`s. `Any`: a mapping is invariant in the key, and steps differ in their types."""
NO_SCRIPTS: Steps = {}


async def run_saga(
    run: Callable[[SelfT, I], Awaitable[object]],
    message: I,
    /,
    *,
    client: Client,
    steps: Steps = NO_SCRIPTS,
    inputs: Sequence[Input] = (),
    options: RunOptions | None = None,
) -> SagaRun:
    """Runs a saga to the end, with scripted participants, and replays the histories.

    Every activity is answered by a scripted participant, and no service is needed. A participant without a
    script executes the call and answers with a sample of the declared result type.

    Args:
        run: The run method of the saga's workflow class.
        message: The argument of the run method.
        client: A client with `SagaPlugin`.
        steps: The scripts: a response for every call of a step, or a list with a response for each call in
            turn. A key is a step, a name, or an address; `compensation_of(step)` and `probe_of(step)` stand
            for the other calls of a step.
        inputs: Cancels, events and approvals, each at a moment. The inputs for which the saga waits are sent
            one after another.
        options: Further options.

    Raises:
        SagaTestError: The workflow code fails, a wait exceeds the timeout, a script was not used, or an input
            was not sent.
        temporalio.workflow.NondeterminismError: A replay gives other commands.
    """
    async with open_saga(run, message, client=client, steps=steps, inputs=inputs, options=options) as saga:
        return await saga.finish()


@asynccontextmanager
async def open_saga(
    run: Callable[[SelfT, I], Awaitable[object]],
    message: I,
    /,
    *,
    client: Client,
    steps: Steps = NO_SCRIPTS,
    inputs: Sequence[Input] = (),
    options: RunOptions | None = None,
) -> AsyncGenerator[OpenSaga]:
    """Starts a saga as `run_saga` does, for tests that wait for a status or execute operators' verbs.

    At the end of the block, a saga that is still open is terminated, and the histories are replayed.

    Args:
        run: As in `run_saga`.
        message: As in `run_saga`.
        client: As in `run_saga`.
        steps: As in `run_saga`.
        inputs: As in `run_saga`.
        options: As in `run_saga`.

    Raises:
        SagaTestError: As in `run_saga`.
        temporalio.workflow.NondeterminismError: A replay gives other commands.
    """
    plan = SagaPlan(
        run=run,
        message=message,
        steps=tuple(steps),
        scripts=scripts_of(steps),
        inputs=tuple(inputs),
        options=options or RunOptions(),
    )
    world = TemporalWorld(client, plan)
    try:
        await world.start()
        yield OpenSaga(world)
    finally:
        await world.stop()
    if unused := world.participants.unused:
        raise SagaTestError(f"the saga ended without {', '.join(unused)}")
    if plan.options.replays:
        await world.replay()
