"""An error that Temporal cannot write is reported as far as possible, and closes the workflow."""

from collections.abc import Callable
from typing import cast
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowUpdateFailedError
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from sagas import RejectedError, Saga
from sagas.operator import HOLD

from ..fixtures.trip_plan import TripPlan
from ..fixtures.trip_saga import STEPS
from ..fixtures.worker_harness import Ending, Handle, WorkerHarness

SURROGATE = "\ud800"
JSON = {"encoding": b"json/plain"}
NUMBER = cast("str", 7)
"""A value with a wrong declaration, as in the code of a user."""


class UnreadableError(Exception):
    """An error whose text cannot be read."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class NumberedError(Exception):
    """An error whose text is a number."""

    def __str__(self) -> str:
        return NUMBER


def _raise_from_itself() -> None:
    error = ValueError("from itself")
    raise error from error


def _raise_from_each_other() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    raise one


def _raise_deep_chain() -> None:
    error = ValueError("0")
    for number in range(1, 700):
        cause, error = error, ValueError(str(number))
        error.__cause__ = cause
    raise error


def _recur() -> None:
    _recur()


def _raise_unreadable() -> None:
    raise UnreadableError


def _raise_numbered() -> None:
    raise NumberedError


def _raise_surrogate() -> None:
    raise ValueError(SURROGATE)


def _raise_surrogate_in_rejection() -> None:
    raise RejectedError(f"sold{SURROGATE}", SURROGATE, SURROGATE)


def _raise_application_error() -> None:
    raise ApplicationError(SURROGATE, SURROGATE, type=SURROGATE)


def _raise_unsendable_details() -> None:
    raise ApplicationError("no details", object(), type="Bad")


def _raise_unsendable_cause() -> None:
    try:
        _raise_unsendable_details()
    except ApplicationError as error:
        raise ValueError("no cause") from error


KINDS: dict[str, Callable[[], None]] = {
    "from itself": _raise_from_itself,
    "from each other": _raise_from_each_other,
    "deep": _raise_deep_chain,
    "recursion": _recur,
    "unreadable": _raise_unreadable,
    "numbered": _raise_numbered,
    "surrogate": _raise_surrogate,
    "rejection": _raise_surrogate_in_rejection,
    "application error": _raise_application_error,
    "unsendable details": _raise_unsendable_details,
    "unsendable cause": _raise_unsendable_cause,
}
CODES = {"rejection": "sold?", "application error": "?", "unsendable details": "Bad"}
"""The codes of the outcomes of failures; the other kinds are bugs."""
TYPES = {"recursion": "RecursionError", "unreadable": "UnreadableError", "numbered": "NumberedError"}
"""The types of the bugs; the other bugs have the type `ValueError`."""
BUGS = sorted(KINDS.keys() - CODES.keys())
FAILS_WORKFLOW = ["application error", "unsendable details"]
"""The kinds that also end a workflow outside of the block; the other kinds are bugs there."""


@workflow.defn
class UnreportableSaga:
    """Raises an error that Temporal cannot report."""

    @workflow.update
    def fail(self, kind: str) -> None:
        """Raises an error."""
        KINDS[kind]()

    @workflow.run
    async def run(self, kind: str, place: str) -> None:
        if place == "before the block":
            KINDS[kind]()
        async with Saga() as saga:
            await saga.step(STEPS["hotel"], TripPlan(do=()))
            if place == "in the block":
                KINDS[kind]()
            if place == "in branches":
                await saga.parallel(self._fail(kind), self._fail(kind))
            if place == "in a child":
                await saga.child(UnreportableChild.run, kind, name="leg")
            if place == "nowhere":
                await workflow.wait_condition(lambda: False)
        if place == "after the block":
            KINDS[kind]()

    async def _fail(self, kind: str) -> None:
        KINDS[kind]()


@workflow.defn
class UnreportableChild:
    """Raises an error in the block of a child."""

    @workflow.run
    async def run(self, kind: str) -> None:
        async with Saga() as saga:
            await saga.step(STEPS["flight"], TripPlan(do=()))
            KINDS[kind]()


WORKFLOWS = [UnreportableSaga, UnreportableChild]


async def begin(harness: WorkerHarness, kind: str, place: str) -> Handle:
    """Starts a saga that raises an error of a kind in a place."""
    saga_id = f"unreportable-{uuid4().hex[:8]}"
    harness.workflow_ids.append(saga_id)
    return await harness.client.start_workflow(
        "UnreportableSaga", args=[kind, place], id=saga_id, task_queue=harness.task_queue
    )


@pytest.mark.parametrize("kind", CODES)
async def test_saga_ends_with_an_error_that_cannot_be_reported(harness: WorkerHarness, kind: str) -> None:
    """P2: the saga compensates, and the workflow closes with the reportable part of the error."""
    saga = await begin(harness, kind, "in the block")

    ending = await harness.wait_for_ending(saga)

    assert ending == Ending("FAILED", "compensated", CODES[kind])
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


@pytest.mark.parametrize("place", ["in the block", "in branches"])
@pytest.mark.parametrize("kind", BUGS)
async def test_task_fails_with_a_bug_that_cannot_be_reported(
    harness: WorkerHarness, kind: str, place: str
) -> None:
    """P8: the history has the reportable part of the bug, and nothing is compensated."""
    saga = await begin(harness, kind, place)

    failed = await harness.wait_for_event(saga, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)

    failure = failed.workflow_task_failed_event_attributes.failure
    assert failure.application_failure_info.type == TYPES.get(kind, "ValueError")
    assert failure.message
    assert harness.participants.started == ["book-hotel"]
    harness.workflow_ids.remove(saga.id)  # the workflow code fails in a replay as well
    await saga.terminate()


@pytest.mark.parametrize("kind", CODES)
@pytest.mark.parametrize("place", ["in branches", "in a child"])
async def test_saga_ends_with_an_unreportable_error_of_a_branch_or_a_child(
    harness: WorkerHarness, kind: str, place: str
) -> None:
    """P2: a second failing branch is noted, and a child reports code and reason."""
    saga = await begin(harness, kind, place)

    ending = await harness.wait_for_ending(saga)

    assert ending == Ending("FAILED", "compensated", CODES[kind])
    assert harness.participants.started[-1] == "cancel-hotel"


@pytest.mark.parametrize("kind", FAILS_WORKFLOW)
@pytest.mark.parametrize("place", ["before the block", "after the block"])
async def test_workflow_ends_with_an_unreportable_error_outside_of_the_block(
    harness: WorkerHarness, kind: str, place: str
) -> None:
    """The failure has the type of the error."""
    saga = await begin(harness, kind, place)

    failure = await harness.wait_for_failure(saga)

    assert failure.type == {"application error": "?", "unsendable details": "Bad"}[kind]


async def test_texts_of_an_unreportable_rejection_are_valid(harness: WorkerHarness) -> None:
    """The outcome has the code, the reason and the field, with replaced surrogates."""
    saga = await begin(harness, "rejection", "in the block")

    failure = await harness.wait_for_failure(saga)

    assert list(failure.details) == ["sold?", "?", "?"]


async def test_unreportable_rejection_of_an_activity_stays_a_rejection(harness: WorkerHarness) -> None:
    """A rejected action is not compensated."""

    async def reject() -> object:
        raise RejectedError(f"sold{SURROGATE}", SURROGATE, SURROGATE)

    harness.participants.when("book-hotel", reject)
    saga = await begin(harness, "", "nowhere")

    assert await harness.wait_for_ending(saga) == Ending("FAILED", "compensated", "sold?")
    assert harness.participants.started == ["book-hotel"]


@pytest.mark.parametrize("data", [b'"\\ud800"', b"{"], ids=["surrogate", "broken"])
async def test_activity_error_with_unreadable_details_is_read_without_details(
    harness: WorkerHarness, data: bytes
) -> None:
    """P2: a participant in another language writes any details; the saga compensates."""

    async def reject() -> object:
        details = RawValue(Payload(metadata=JSON, data=data))
        raise ApplicationError("sold out", details, type="Rejected", non_retryable=True)

    harness.participants.when("book-hotel", reject)
    saga = await begin(harness, "", "nowhere")

    failure = await harness.wait_for_failure(saga)
    assert failure.details[1] == "sold out"
    assert (await harness.wait_for_ending(saga)).saga == "compensated"


async def test_unreportable_error_of_an_update_is_answered(harness: WorkerHarness) -> None:
    """The sender receives the reportable part, and the saga goes on."""
    saga = await begin(harness, "", "nowhere")
    await harness.wait_for_event(saga, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)

    for kind in ("rejection", "application error"):
        with pytest.raises(WorkflowUpdateFailedError) as failed:
            await saga.execute_update("fail", kind)
        assert isinstance(failed.value.cause, ApplicationError)
        assert failed.value.cause.message == "?"


async def test_request_of_an_operator_with_a_surrogate_is_refused(harness: WorkerHarness) -> None:
    """The saga does not take the request, and goes on."""
    saga = await begin(harness, "", "nowhere")
    await harness.wait_for_event(saga, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    request = RawValue(Payload(metadata=JSON, data=b'{"by": "mia", "because": "\\ud800"}'))

    refusal = await harness.rejected_update(saga, HOLD, request)

    assert "hex escape" in refusal
    assert "running" in await harness.current_details(saga)
