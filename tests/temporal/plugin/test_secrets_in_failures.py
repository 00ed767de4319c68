"""Rejected values of failed validations stay out of histories, failures, log lines and answers."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError
from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowUpdateFailedError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError, FailureError

from sagas import Saga

from ..fixtures.trip_participants import Response, returns
from ..fixtures.trip_plan import TripPlan
from ..fixtures.trip_saga import STEPS
from ..fixtures.worker_harness import Ending, Handle, WorkerHarness

CARD = "4111-1111-1111-1111"


class Charge(BaseModel):
    """A message whose amount is a number."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    amount: int = 1
    way: str = ""


WRONG: dict[str, object] = {"amount": CARD}


@workflow.defn
class ChargeSaga:
    """Reads a wrong message in several places."""

    @workflow.signal
    def take(self, charge: Charge) -> None:
        """Takes a message."""

    @workflow.signal
    def misread(self) -> None:
        """Reads a wrong message."""
        Charge.model_validate(WRONG)

    @workflow.signal
    def meet_bug(self) -> None:
        """Reads a wrong message, and hides the error behind a bug."""
        _misread_indirectly("in the cause of a bug")

    @workflow.update
    def meet_bug_too(self) -> None:
        """Reads a wrong message, and hides the error behind a bug."""
        _misread_indirectly("in the cause of a bug")

    @workflow.update
    def change(self, charge: Charge) -> None:
        """Takes a message."""

    @workflow.update
    def rewrite(self) -> None:
        """Reads a wrong message."""
        Charge.model_validate(WRONG)

    @workflow.run
    async def run(self, charge: Charge) -> None:
        if charge.way == "before the block":
            Charge.model_validate(WRONG)
        if charge.way == "bug before the block":
            _misread_indirectly("in the cause of a bug")
        async with Saga(foreign_activities={"book-flight"}) as saga:
            saga.expect("paid", Charge)
            await saga.step(STEPS["hotel"], TripPlan(do=()))
            await self._misread(saga, charge.way)
        if charge.way == "after the block":
            Charge.model_validate(WRONG)
        if charge.way == "bug after the block":
            _misread_indirectly("in the cause of a bug")

    async def _misread(self, saga: Saga, way: str) -> None:
        match way:
            case "in the block":
                Charge.model_validate(WRONG)
            case "in a cause" | "in a context" | "in a group" | "in the cause of a bug":
                _misread_indirectly(way)
            case "in a bug of a branch":
                await saga.parallel(self._misread(saga, "in the cause of a bug"))
            case "in a branch":
                await saga.parallel(self._misread(saga, "in the block"), self._misread(saga, "in a cause"))
            case "in a child":
                await saga.child(ChargeSaga.run, Charge(way="in the block"), name="leg")
            case "in a child before its block":
                await saga.child(ChargeSaga.run, Charge(way="before the block"), name="leg")
            case "in an argument":
                await workflow.execute_activity(
                    "book-flight",
                    {"do": CARD},
                    start_to_close_timeout=timedelta(seconds=20),
                    retry_policy=RetryPolicy(maximum_attempts=1),
                )
            case "nowhere":
                await workflow.wait_condition(lambda: False)
            case _:
                pass


def _misread_indirectly(way: str) -> None:
    try:
        Charge.model_validate(WRONG)
    except ValidationError as error:
        if way == "in the cause of a bug":
            raise ValueError("no charge") from error
        if way == "in a context":
            raise ApplicationError("no charge")  # noqa: B904 - the context is the subject of the test
        if way == "in a group":
            raise ExceptionGroup("no charges", [error]) from None
        raise ApplicationError("no charge") from error


WORKFLOWS = [ChargeSaga]


async def begin(harness: WorkerHarness, message: object) -> Handle:
    """Starts a charge, with any message."""
    charge_id = f"charge-{uuid4().hex[:8]}"
    harness.workflow_ids.append(charge_id)
    return await harness.client.start_workflow(
        "ChargeSaga", message, id=charge_id, task_queue=harness.task_queue
    )


async def assert_no_card(handle: Handle, caplog: pytest.LogCaptureFixture) -> None:
    """The text of the history has payloads as base64, so only texts in clear are searched."""
    assert CARD not in (await handle.fetch_history()).to_json()
    assert CARD not in caplog.text


def _texts(error: BaseException | None) -> str:
    texts = ""
    while error is not None:
        details = error.details if isinstance(error, ApplicationError) else ()
        texts, error = f"{texts}{error}{details}", error.__cause__
    return texts


async def test_input_of_another_type_is_not_quoted(
    harness: WorkerHarness, caplog: pytest.LogCaptureFixture
) -> None:
    """The failure names the field and the rule."""
    charge = await begin(harness, WRONG)

    failure = await harness.wait_for_failure(charge)

    assert failure.type == "ValidationError"
    assert "amount" in failure.message
    assert "valid integer" in failure.message
    await assert_no_card(charge, caplog)


@pytest.mark.parametrize(
    "way",
    [
        "before the block",
        "in the block",
        "in a cause",
        "in a context",
        "in a group",
        "in a branch",
        "in a child",
        "in a child before its block",
        "in an argument",
        "after the block",
    ],
)
async def test_failed_validation_of_the_workflow_is_not_quoted(
    harness: WorkerHarness, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    """The values stay out of the failure, of each cause, of the details and of the log."""
    charge = await begin(harness, Charge(way=way))

    failure = await harness.wait_for_failure(charge)

    assert CARD not in _texts(failure)
    await assert_no_card(charge, caplog)
    if "child" in way:
        await assert_no_card(harness.child_of(charge, "leg"), caplog)


@pytest.mark.parametrize(
    "way",
    [
        "in the cause of a bug",
        "in a bug of a branch",
        "bug before the block",
        "bug after the block",
        "bug in a handler",
        "bug in an update handler",
    ],
)
async def test_failed_validation_behind_a_bug_is_not_quoted(
    harness: WorkerHarness, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    """The values stay out of the failure of the workflow task, and out of the log."""
    charge = await begin(harness, Charge(way="nowhere" if "handler" in way else way))
    if "handler" in way:
        await harness.wait_for_event(charge, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
        if "update" in way:
            # The server answers no update of a failing workflow task.
            unanswered = asyncio.create_task(charge.execute_update("meet_bug_too"))
            unanswered.add_done_callback(lambda task: task.cancelled() or task.exception())
        else:
            await charge.signal("meet_bug")

    failed = await harness.wait_for_event(charge, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)

    failure = failed.workflow_task_failed_event_attributes.failure
    assert (failure.application_failure_info.type, failure.message) == ("ValueError", "no charge")
    assert failure.cause.message.startswith("1 validation error")
    await assert_no_card(charge, caplog)
    harness.workflow_ids.remove(charge.id)  # the workflow code fails in a replay as well
    await charge.terminate()


@pytest.mark.parametrize("way", ["returned", "raised", "raised as a cause"])
async def test_failed_validation_of_an_activity_is_not_quoted(
    harness: WorkerHarness, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    """A result of another type is an unknown outcome, and so is an error of the activity."""

    async def misread() -> object:
        return Charge.model_validate(WRONG)

    async def misread_for_a_reason() -> object:
        try:
            return Charge.model_validate(WRONG)
        except ValidationError as error:
            raise ValueError("no charge") from error

    responses: dict[str, Response] = {
        "returned": returns({"number": 7, "card": CARD}),
        "raised": misread,
        "raised as a cause": misread_for_a_reason,
    }
    harness.participants.when("book-hotel", *[responses[way]] * 2)
    charge = await begin(harness, Charge())

    failure = await harness.wait_for_failure(charge)

    assert failure.details[0] == "unknown_outcome"
    assert CARD not in _texts(failure)
    await assert_no_card(charge, caplog)


@pytest.mark.parametrize("signal", ["take", "paid"])
async def test_signal_of_another_type_is_not_quoted(
    harness: WorkerHarness, caplog: pytest.LogCaptureFixture, signal: str
) -> None:
    """A signal that cannot be read is logged, and a failing handler fails the saga."""
    charge = await begin(harness, Charge(way="nowhere"))
    await harness.wait_for_event(charge, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)

    await charge.signal(signal, WRONG)
    await charge.signal("misread")

    assert await harness.wait_for_ending(charge) == Ending("FAILED", "compensated", "ValidationError")
    await assert_no_card(charge, caplog)


@pytest.mark.parametrize(("update", "message"), [("change", [WRONG]), ("rewrite", []), ("paid", [WRONG])])
async def test_update_of_another_type_is_not_quoted(
    harness: WorkerHarness, caplog: pytest.LogCaptureFixture, update: str, message: list[object]
) -> None:
    """The answer names the field and the rule."""
    charge = await begin(harness, Charge(way="nowhere"))
    await harness.wait_for_event(charge, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)

    with pytest.raises(WorkflowUpdateFailedError) as failed:
        await charge.execute_update(update, args=message)

    assert isinstance(failed.value.cause, FailureError)
    assert "valid integer" in _texts(failed.value)
    assert CARD not in _texts(failed.value)
    await assert_no_card(charge, caplog)
