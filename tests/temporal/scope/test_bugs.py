"""A bug fails the workflow task until the code is mended, and nothing is compensated for a bug."""

from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from sagas import RejectedError, Saga

from ..fixtures.buggy_workflows import BUGGY, BUGS, MENDED, PLACES, PLAN, REFUSING, TEXTS, Trouble
from ..fixtures.trip_saga import STEPS
from ..fixtures.worker_harness import Ending, Handle, WorkerHarness

TASK_FAILED = EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
STEP_COMPLETED = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED


def _group() -> ExceptionGroup[Exception]:
    inner = ExceptionGroup("inner", [RejectedError("sold_out", "no seat is left", "seats")])
    return ExceptionGroup("outer", [inner, ApplicationError("no meal", type="NoMeal")])


@workflow.defn
class GroupSaga:
    """Raises a group of failures in the block, or in a handler."""

    @workflow.signal
    def meet(self) -> None:
        """Raises a group of failures."""
        raise _group()

    @workflow.update
    def ask(self) -> None:
        """Raises a group of failures."""
        raise _group()

    @workflow.run
    async def run(self, kind: str) -> None:
        async with Saga() as saga:
            await saga.step(STEPS["hotel"], PLAN)
            if kind == "timeout":
                raise TimeoutError("too late")
            if kind == "handlers":
                await workflow.wait_condition(lambda: False)
            raise _group()


WORKFLOWS = [*BUGGY, GroupSaga]


async def begin(harness: WorkerHarness, trouble: Trouble) -> Handle:
    """Starts a saga with a bug, and waits until the task with the bug has failed."""
    saga_id = f"buggy-{uuid4().hex[:8]}"
    harness.workflow_ids.append(saga_id)
    saga = await harness.client.start_workflow(
        "BuggySaga",
        trouble,
        id=saga_id,
        task_queue=harness.task_queue,
        result_type=str,
        # A worker answers the first failing task only; the server repeats a task after the timeout.
        task_timeout=timedelta(seconds=1),
    )
    if "continued" in trouble.place:
        saga = await harness.wait_for_next_run(saga)
    if trouble.place in ("after a cancel", "in a handler"):
        done = await harness.wait_for_event(saga, STEP_COMPLETED)
        await harness.wait_for_event(saga, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, after=done.event_id)
        await (saga.cancel() if trouble.place == "after a cancel" else saga.signal("meet"))
    return saga


async def failure_of(harness: WorkerHarness, saga: Handle, trouble: Trouble) -> str:
    """Waits for the failed workflow task; returns the type and the text of the failure."""
    failing = harness.child_of(saga, "leg") if trouble.place == "in a child" else saga
    if failing is not saga:
        await harness.wait_for_event(saga, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    event = await harness.wait_for_event(failing, TASK_FAILED)
    failure = event.workflow_task_failed_event_attributes.failure
    return f"{failure.application_failure_info.type}: {failure.message}"


async def deploy(harness: WorkerHarness, workflows: list[type]) -> None:
    """Replaces the worker by a worker with other code."""
    await harness.stop_workers()
    harness.workflows = workflows
    await harness.start_worker()


@pytest.mark.parametrize("bug", BUGS)
async def test_a_bug_fails_the_workflow_task_with_a_printable_text(harness: WorkerHarness, bug: str) -> None:
    """P8: the history has the type and the text of the bug, and no compensation runs."""
    trouble = Trouble(bug=bug)
    saga = await begin(harness, trouble)

    assert await failure_of(harness, saga, trouble) == TEXTS[bug]
    assert harness.participants.started == ["book-hotel"]

    await deploy(harness, MENDED)
    assert await harness.wait_for_ending(saga) == Ending("COMPLETED", None, result="booked")


@pytest.mark.parametrize("place", PLACES)
async def test_a_saga_with_mended_code_goes_on_from_where_the_saga_was(
    harness: WorkerHarness, place: str
) -> None:
    """No step is repeated, and nothing was compensated for the bug."""
    trouble = Trouble(place=place)
    saga = await begin(harness, trouble)
    assert await failure_of(harness, saga, trouble) == "KeyError: 'sku'"
    before = [each for each in harness.participants.started if each != "book-flight"]
    assert before == ["book-hotel"]

    await deploy(harness, MENDED)
    ending = await harness.wait_for_ending(saga)

    if place == "after a cancel":
        assert ending == Ending("CANCELED", "compensated")
    elif place == "in a handler":
        assert ending == Ending("FAILED", "compensated", "Refused")
    else:
        assert ending == Ending("COMPLETED", None, result="booked")
        assert sorted(harness.participants.started) == sorted({*harness.participants.started})
        assert "cancel-hotel" not in harness.participants.started


@pytest.mark.parametrize("place", PLACES)
async def test_code_that_refuses_instead_of_the_bug_compensates(harness: WorkerHarness, place: str) -> None:
    """P2: every step from before the bug is compensated, newest first."""
    trouble = Trouble(place=place)
    saga = await begin(harness, trouble)
    await failure_of(harness, saga, trouble)

    await deploy(harness, REFUSING)
    ending = await harness.wait_for_ending(saga)

    assert ending.saga == "compensated"
    if place == "caught outside":
        assert ending.result == "caught"
    else:
        assert ending.code == "Refused"
    started = harness.participants.started
    assert ("cancel-flight" in started) == ("book-flight" in started)
    assert started[-2:] == ["cancel-hotel", "tell-customer"]


async def test_parent_of_a_child_with_a_bug_waits(harness: WorkerHarness) -> None:
    """The parent concludes nothing from the bug of a child: a cancel waits for the mended code."""
    trouble = Trouble(place="in a child")
    saga = await begin(harness, trouble)
    await failure_of(harness, saga, trouble)
    await saga.cancel()

    await deploy(harness, MENDED)

    assert await harness.wait_for_ending(saga) == Ending("CANCELED", "compensated")
    assert harness.participants.started == [
        *("book-hotel", "book-flight"),
        *("cancel-flight", "cancel-hotel", "tell-customer"),
    ]


async def test_group_of_failures_compensates(harness: WorkerHarness) -> None:
    """The outcome has the code, the reason and the field of the first failure."""
    saga_id = f"group-{uuid4().hex[:8]}"
    harness.workflow_ids.append(saga_id)
    saga: Handle = await harness.client.start_workflow(
        "GroupSaga", "group", id=saga_id, task_queue=harness.task_queue
    )

    failure = await harness.wait_for_failure(saga)

    assert list(failure.details) == ["sold_out", "no seat is left", "seats"]
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_group_of_failures_in_a_handler_is_a_failure(harness: WorkerHarness) -> None:
    """The sender of an update gets the first failure, and the failure of a signal compensates the saga."""
    saga_id = f"group-{uuid4().hex[:8]}"
    harness.workflow_ids.append(saga_id)
    saga: Handle = await harness.client.start_workflow(
        "GroupSaga", "handlers", id=saga_id, task_queue=harness.task_queue
    )
    await harness.wait_for_event(saga, STEP_COMPLETED)

    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await saga.execute_update("ask")
    await saga.signal("meet")

    assert isinstance(refused.value.cause, ApplicationError)
    assert refused.value.cause.details == ("sold_out", "seats")
    assert await harness.wait_for_ending(saga) == Ending("FAILED", "compensated", "sold_out")


async def test_timeout_of_asyncio_compensates(harness: WorkerHarness) -> None:
    """Temporal closes a workflow with `asyncio.TimeoutError`; the error is no bug."""
    saga_id = f"timeout-{uuid4().hex[:8]}"
    harness.workflow_ids.append(saga_id)
    saga: Handle = await harness.client.start_workflow(
        "GroupSaga", "timeout", id=saga_id, task_queue=harness.task_queue
    )

    assert await harness.wait_for_ending(saga) == Ending("FAILED", "compensated", "TimeoutError")
