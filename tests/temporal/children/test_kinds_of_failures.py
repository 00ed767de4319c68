"""The failure of a child says the kind of the failure, so that a parent does not take a bug for a refusal."""

from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.exceptions import ApplicationError

from sagas import FailureKind, RejectedError, Saga
from sagas.operator import SagaClient

from ..fixtures.buggy_workflows import PLAN
from ..fixtures.trip_participants import fails, rejects
from ..fixtures.trip_saga import STEPS
from ..fixtures.worker_harness import Handle, WorkerHarness


@workflow.defn
class Child:
    """A child that fails in several ways."""

    @workflow.run
    async def run(self, how: str) -> None:
        timeout = timedelta(milliseconds=200) if how == "saga timeout" else None
        async with Saga(timeout=timeout) as saga:
            if how == "grandchild":
                await saga.child(Child.run, "unknown", name="leg")
            await saga.step(STEPS["flight"], PLAN)
            match how:
                case "error":
                    raise ApplicationError("no budget", type="OutOfBudget")
                case "asyncio timeout":
                    raise TimeoutError
                case "event":
                    await saga.wait_for(saga.expect("visa", int), timeout=timedelta(milliseconds=100))
                case _:
                    await workflow.wait_condition(lambda: False)


@workflow.defn
class Parent:
    """Returns the kind and the code of the failure of the child."""

    @workflow.run
    async def run(self, how: str) -> list[str]:
        async with Saga() as saga:
            try:
                await saga.child(Child.run, how, name="leg")
            except RejectedError as error:
                return [FailureKind(error.kind).value, error.code]
        return []


WORKFLOWS = [Child, Parent]


async def begin(harness: WorkerHarness, how: str) -> Handle:
    """Starts a parent with a child that fails in a way."""
    saga_id = f"kinds-{uuid4().hex[:8]}"
    harness.workflow_ids.append(saga_id)
    return await harness.client.start_workflow(Parent.run, how, id=saga_id, task_queue=harness.task_queue)


async def until_the_child_waits(harness: WorkerHarness, saga: Handle) -> Handle:
    """Waits until the child has executed the step."""
    await harness.wait_for_event(saga, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    child = harness.child_of(saga, "leg")
    done = await harness.wait_for_event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await harness.wait_for_event(child, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, after=done.event_id)
    return child


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("error", ["failed", "OutOfBudget"]),
        ("asyncio timeout", ["timed-out", "TimeoutError"]),
        ("saga timeout", ["timed-out", "deadline_exceeded"]),
        ("event", ["timed-out", "deadline_exceeded"]),
    ],
)
async def test_parent_learns_the_kind_of_an_error(
    harness: WorkerHarness, how: str, expected: list[str]
) -> None:
    """The code is the code of the child's own failure."""
    saga = await begin(harness, how)

    assert (await harness.wait_for_ending(saga)).result == expected


async def test_parent_learns_of_a_rejection(harness: WorkerHarness) -> None:
    """A code that another kind uses does not change the kind."""
    harness.participants.when("book-flight", rejects("unknown_outcome"))
    saga = await begin(harness, "rejected")

    assert (await harness.wait_for_ending(saga)).result == ["rejected", "unknown_outcome"]


@pytest.mark.parametrize("how", ["unknown", "grandchild"])
async def test_parent_learns_of_an_unknown_outcome(harness: WorkerHarness, how: str) -> None:
    """The outcome of a step of the child, or of a step of the child's child, is unknown."""
    harness.participants.when("book-flight", fails())
    saga = await begin(harness, how)

    assert (await harness.wait_for_ending(saga)).result == ["unknown", "unknown_outcome"]


async def test_parent_learns_of_a_cancel_of_the_child(harness: WorkerHarness) -> None:
    """Only the child was cancelled."""
    saga = await begin(harness, "wait")
    child = await until_the_child_waits(harness, saga)
    await child.cancel()

    assert (await harness.wait_for_ending(saga)).result == ["cancelled", "cancelled"]


async def test_parent_learns_of_a_requested_compensation(harness: WorkerHarness) -> None:
    """An operator compensated the child."""
    saga = await begin(harness, "wait")
    child = await until_the_child_waits(harness, saga)
    await SagaClient(harness.client).compensate(child.id, by="mia", because="wrong date")

    assert (await harness.wait_for_ending(saga)).result == [
        "compensation-requested",
        "compensation_requested",
    ]
