"""Invalid calls of a saga: a clear error fails the saga, and the done steps are compensated."""

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

# Without a cache, each workflow task is a replay.
pytestmark = pytest.mark.parametrize("harness", [0], indirect=True, ids=["evicted"])

HOTEL, FLIGHT, PAY = STEPS["hotel"], STEPS["flight"], PIVOTS["pay"]
Call = Callable[[Any, TripPlan], object]
UNAWAITED: dict[str, Call] = {
    "step 'book-flight'": lambda saga, plan: saga.step(FLIGHT, plan),
    "best_effort 'book-flight'": lambda saga, plan: saga.best_effort(FLIGHT, plan),
    "pivot 'pay'": lambda saga, plan: saga.pivot(PAY, plan),
    "child 'leg'": lambda saga, plan: saga.child(UnawaitedSaga.run, plan, name="leg"),
    "wait_for 'visa'": lambda saga, _: saga.wait_for(saga.expect("visa", Booking)),
    "approval 'trip'": lambda saga, _: saga.approval("trip", role="boss"),
    "continue_as_new": lambda saga, plan: saga.continue_as_new(plan),
}
INVALID: dict[str, Call] = {
    "'pay' has no effect class": lambda saga, plan: saga.step(PAY, plan),
    "a step is made by `action(...)`, not <": lambda saga, plan: saga.step(print, plan),
    "'book-flight' is compensatable, and a pivot is": lambda saga, plan: saga.pivot(FLIGHT, plan),
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
class UnawaitedSaga:
    """Makes a call without `await`, before the end of the block or before the pivot."""

    @workflow.run
    async def run(self, plan: TripPlan) -> None:
        async with Saga() as saga:
            await saga.step(HOTEL, plan)
            UNAWAITED[str(plan.do[0])](saga, plan)
            if "pay" in plan.do:
                await saga.pivot(PAY, plan)


# The sandbox would import this file again for each worker.
@workflow.defn(sandboxed=False)
class UnawaitedAfterPivotSaga:
    """Calls the step after the pivot without `await`, until the code is corrected."""

    is_corrected = False

    @workflow.run
    async def run(self, plan: TripPlan) -> None:
        async with Saga() as saga:
            await saga.pivot(PAY, plan)
            call = saga.step(STEPS["ticket"], plan)
            if not UnawaitedAfterPivotSaga.is_corrected:
                return
            await call


@workflow.defn
class LateSaga:
    """Calls the last step in an asyncio task, not yet started at the end of the block."""

    @workflow.run
    async def run(self, plan: TripPlan) -> None:
        async with Saga() as saga:
            await saga.step(HOTEL, plan)
            self.task = asyncio.create_task(saga.step(FLIGHT, plan))
            if "pay" in plan.do:
                await saga.pivot(PAY, plan)


@workflow.defn
class InvalidCallSaga:
    """Makes an invalid call."""

    @workflow.run
    async def run(self, plan: TripPlan) -> None:
        async with Saga() as saga:
            await saga.step(HOTEL, plan)
            called = INVALID[str(plan.do[0])](saga, plan)
            assert isinstance(called, Coroutine)
            await called


@workflow.defn
class InvalidTimeoutSaga:
    """Opens sagas with invalid timeouts, and returns the messages of the errors."""

    @workflow.run
    async def run(self, plan: TripPlan) -> list[str]:
        messages: list[str] = []
        for timeout in TIMEOUTS.values():
            try:
                Saga(timeout=cast("Any", timeout))
            except DefinitionError as error:
                messages.append(str(error))
        return messages


WORKFLOWS = [*USUAL, UnawaitedSaga, UnawaitedAfterPivotSaga, LateSaga, InvalidCallSaga, InvalidTimeoutSaga]


async def begin(harness: WorkerHarness, kind: type[Any], *do: str) -> Handle:
    """Starts a workflow of the given class."""
    trip: Handle = await harness.client.start_workflow(
        kind.__name__, TripPlan(do=do), id=f"asking-{harness.task_queue}", task_queue=harness.task_queue
    )
    harness.workflow_ids.append(trip.id)
    return trip


@pytest.mark.parametrize(
    ("call", "then"), [*((call, "end") for call in UNAWAITED), ("step 'book-flight'", "pay")]
)
async def test_a_call_without_await_fails_the_saga(harness: WorkerHarness, call: str, then: str) -> None:
    """P1: without the failure, the saga would complete without the step."""
    trip = await begin(harness, UnawaitedSaga, call, then)

    failure = await harness.wait_for_failure(trip)
    assert failure.message == f"never awaited: {call}; write `await` before each call of a saga"
    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_a_call_without_await_after_the_pivot_waits_for_new_code(harness: WorkerHarness) -> None:
    """P6: after the pivot, the saga only goes forward."""
    UnawaitedAfterPivotSaga.is_corrected = False
    trip = await begin(harness, UnawaitedAfterPivotSaga)
    failed = await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)
    UnawaitedAfterPivotSaga.is_corrected = True

    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert "never awaited: step 'send-ticket'" in failed.workflow_task_failed_event_attributes.failure.message
    assert harness.participants.started == ["pay", "send-ticket"]


@pytest.mark.parametrize("then", ["end", "pay"])
async def test_a_step_in_a_task_before_its_start_is_done(harness: WorkerHarness, then: str) -> None:
    """The saga waits for a step in an asyncio task, called before the end of the block."""
    trip = await begin(harness, LateSaga, then)

    assert await harness.wait_for_ending(trip) == Ending("COMPLETED", None)
    assert harness.participants.started == ["book-hotel", "book-flight", *(["pay"] if then == "pay" else [])]


@pytest.mark.parametrize("reason", INVALID)
async def test_an_invalid_argument_is_refused_with_a_clear_message(
    harness: WorkerHarness, reason: str
) -> None:
    """P19: the saga explains the error, instead of an unrelated error of Python."""
    trip = await begin(harness, InvalidCallSaga, reason)

    failure = await harness.wait_for_failure(trip)
    assert failure.details[0] == "DefinitionError"
    assert reason in failure.message
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_timeout_of_a_saga_is_a_duration(harness: WorkerHarness) -> None:
    """The saga refuses another value by name, before the block is entered."""
    trip = await begin(harness, InvalidTimeoutSaga)

    assert (await harness.wait_for_ending(trip)).result == list(TIMEOUTS)
