"""What a saga is asked for in a way in which it cannot be done: it says so, and makes up for the rest."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, cast

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import EventType

from sagas import DefinitionError, Saga

from ..fixtures.trip_plan import Booking, TripPlan
from ..fixtures.trip_saga import PIVOTS, STEPS
from ..fixtures.worker_harness import WORKFLOWS as USUAL
from ..fixtures.worker_harness import Ending, Handle, WorkerHarness

# Without a cache, each task is a replay.
pytestmark = pytest.mark.parametrize("harness", [0], indirect=True, ids=["evicted"])

HOTEL, FLIGHT, PAY = STEPS["hotel"], STEPS["flight"], PIVOTS["pay"]
Ask = Callable[[Any, TripPlan], object]
FORGETFUL: dict[str, Ask] = {
    "step 'book-flight'": lambda saga, plan: saga.step(FLIGHT, plan),
    "best_effort 'book-flight'": lambda saga, plan: saga.best_effort(FLIGHT, plan),
    "pivot 'pay'": lambda saga, plan: saga.pivot(PAY, plan),
    "child 'leg'": lambda saga, plan: saga.child(Forgetful.run, plan, name="leg"),
    "wait_for 'visa'": lambda saga, _: saga.wait_for(saga.expect("visa", Booking)),
    "approval 'trip'": lambda saga, _: saga.approval("trip", role="boss"),
    "continue_as_new": lambda saga, plan: saga.continue_as_new(plan),
}
WRONG: dict[str, Ask] = {
    "'pay' is no step yet": lambda saga, plan: saga.step(PAY, plan),
    "a step is made by `action(...)`, not <": lambda saga, plan: saga.step(print, plan),
    "'book-flight' is a step, and a pivot is": lambda saga, plan: saga.pivot(FLIGHT, plan),
    "a pivot is made by `action(...)`, not <": lambda saga, plan: saga.pivot(print, plan),
    "has returned, not for 'visa'": lambda saga, _: saga.wait_for("visa"),
    "timeout must be a timedelta, not 3": lambda saga, _: saga.wait_for(
        saga.expect("visa", Booking), timeout=3
    ),
    "timeout must be a timedelta, not 'soon'": lambda saga, _: saga.approval(
        "trip", role="boss", timeout="soon"
    ),
    "timeout must be a timedelta, not None": lambda saga, _: saga.approval("trip", role="boss", timeout=None),
    "a step is made by `action(...)`, not 7": lambda saga, plan: saga.after_compensation(7, plan),
}
TIMEOUTS = {
    "timeout must be a timedelta, not 5": 5,
    "timeout must be a timedelta, not True": True,
    "timeout must be a timedelta above 0, not 0:00:00": timedelta(0),
}


@workflow.defn
class Forgetful:
    """Does not await what it asks for; then comes its end, or its pivot."""

    @workflow.run
    async def run(self, plan: TripPlan) -> None:
        async with Saga() as saga:
            await saga.step(HOTEL, plan)
            FORGETFUL[str(plan.do[0])](saga, plan)
            if "pay" in plan.do:
                await saga.pivot(PAY, plan)


# In the sandbox, this file would be read again for each worker.
@workflow.defn(sandboxed=False)
class ForgetfulAfterwards:
    """Forgets to do what follows its pivot."""

    is_mended = False

    @workflow.run
    async def run(self, plan: TripPlan) -> None:
        async with Saga() as saga:
            await saga.pivot(PAY, plan)
            call = saga.step(STEPS["ticket"], plan)
            if not ForgetfulAfterwards.is_mended:
                return
            await call


@workflow.defn
class Late:
    """Has its last step done by a task of its own, which begins when the block is at its end."""

    @workflow.run
    async def run(self, plan: TripPlan) -> None:
        async with Saga() as saga:
            await saga.step(HOTEL, plan)
            self.task = asyncio.create_task(saga.step(FLIGHT, plan))
            if "pay" in plan.do:
                await saga.pivot(PAY, plan)


@workflow.defn
class Wrong:
    """Asks for what is none."""

    @workflow.run
    async def run(self, plan: TripPlan) -> None:
        async with Saga() as saga:
            await saga.step(HOTEL, plan)
            asked = WRONG[str(plan.do[0])](saga, plan)
            assert isinstance(asked, Coroutine)
            await asked


@workflow.defn
class WrongTimeouts:
    """Opens sagas with invalid timeouts, and returns the messages of the errors."""

    @workflow.run
    async def run(self, plan: TripPlan) -> list[str]:
        refusals: list[str] = []
        for timeout in TIMEOUTS.values():
            try:
                Saga(timeout=cast("Any", timeout))
            except DefinitionError as error:
                refusals.append(str(error))
        return refusals


WORKFLOWS = [*USUAL, Forgetful, ForgetfulAfterwards, Late, Wrong, WrongTimeouts]


async def begin(harness: WorkerHarness, kind: type[Any], *do: str) -> Handle:
    """Starts a workflow of this kind."""
    trip: Handle = await harness.client.start_workflow(
        kind.__name__, TripPlan(do=do), id=f"asking-{harness.task_queue}", task_queue=harness.task_queue
    )
    harness.workflow_ids.append(trip.id)
    return trip


@pytest.mark.parametrize(
    ("what", "then"), [*((what, "end") for what in FORGETFUL), ("step 'book-flight'", "pay")]
)
async def test_what_was_never_awaited_fails_the_saga(harness: WorkerHarness, what: str, then: str) -> None:
    """P1: it would complete, and nobody would know that a step of it was never done."""
    trip = await begin(harness, Forgetful, what, then)

    failure = await harness.wait_for_failure(trip)
    assert failure.message == f"never awaited: {what}; write `await` before each call of a saga"
    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_what_was_never_awaited_after_the_pivot_waits_for_mended_code(harness: WorkerHarness) -> None:
    """P6: from there it only goes forward."""
    ForgetfulAfterwards.is_mended = False
    trip = await begin(harness, ForgetfulAfterwards)
    failed = await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)
    ForgetfulAfterwards.is_mended = True

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert "never awaited: step 'send-ticket'" in failed.workflow_task_failed_event_attributes.failure.message
    assert harness.participants.started == ["pay", "send-ticket"]


@pytest.mark.parametrize("then", ["end", "pay"])
async def test_what_a_task_of_its_own_has_yet_to_begin_is_done(harness: WorkerHarness, then: str) -> None:
    """It was asked for in time, and is awaited."""
    trip = await begin(harness, Late, then)

    assert await harness.wait_for_ending(trip) == Ending("COMPLETED", None)
    assert harness.participants.started == ["book-hotel", "book-flight", *(["pay"] if then == "pay" else [])]


async def test_what_nobody_expected_stands_in_the_log(
    harness: WorkerHarness, caplog: pytest.LogCaptureFixture
) -> None:
    """It compensates as any failure does, and whoever has written it must find it."""
    trip = await begin(harness, Wrong, "nothing of the kind")

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    (logged,) = (
        line for line in caplog.records if line.exc_info and "the saga compensates because of" in line.message
    )
    assert logged.exc_info
    assert logged.exc_info[0] is KeyError


@pytest.mark.parametrize("why", WRONG)
async def test_what_is_no_step_pivot_or_event_is_refused_in_a_sentence(
    harness: WorkerHarness, why: str
) -> None:
    """P19: not by what Python says of it."""
    trip = await begin(harness, Wrong, why)

    failure = await harness.wait_for_failure(trip)
    assert failure.details[0] == "DefinitionError"
    assert why in failure.message
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_timeout_of_a_saga_is_a_duration(harness: WorkerHarness) -> None:
    """The saga refuses another value by name, before the block is entered."""
    trip = await begin(harness, WrongTimeouts)

    assert (await harness.wait_for_ending(trip)).result == list(TIMEOUTS)
