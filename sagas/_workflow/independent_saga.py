"""An independent saga: the parent starts the saga, waits for the end, and receives the outcome as a value.

The server keeps an independent saga open when the parent closes: a terminated parent does not take the
compensations of the independent saga along. The parent takes over no pending compensations.
"""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, TypeVar, cast

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import (
    ApplicationError,
    CancelledError,
    ChildWorkflowError,
    TimeoutError,  # noqa: A004 - Temporal's, in its own words
    WorkflowAlreadyStartedError,
)
from temporalio.workflow import _Definition as WorkflowDefinition  # pyright: ignore[reportPrivateUsage]

from .._core.activity_outcome import ActivityOutcome
from .._core.ids import child_id
from .._core.saga_outcome import Compensated, Completed, CutOff, SagaOutcome, Settled
from .._errors import RejectedError, UnknownOutcomeError
from .._execution.activity_call import encode_arguments
from .._run.cancellation_shield import current_shield, run_uncancelled
from .._run.context import current_context
from .._wire.child_saga import INDEPENDENT_MEMO, IndependentMemo
from .._wire.error_text import error_text
from .._wire.failures import SAGA_COMPENSATED, SAGA_SETTLED
from .child_saga import CANCELLED, result_of, result_type_of

I = TypeVar("I")  # noqa: E741 - what goes in, as in a step
O = TypeVar("O")  # noqa: E741 - what comes out


async def run_independent_saga(
    run: Callable[[Any, I], Awaitable[O]], message: I, name: str, task_queue: str | None
) -> SagaOutcome[O]:
    """Runs another saga to the end, and returns the outcome.

    Before the pivot of the parent, a cancel of the calling task is passed on; after the pivot, no cancel is.

    Args:
        run: The run method of the saga's workflow class.
        message: The input of the saga.
        name: The address in the parent; the workflow id is the parent's id, `/`, and the address.
        task_queue: The task queue of the saga's workers; by default the parent's.

    Raises:
        RejectedError: The message has no JSON form or is too large, or the workflow id is in use.
        UnknownOutcomeError: The saga completed with a result of another type.
        asyncio.CancelledError: The calling task was cancelled before the start.
    """
    encoded = encode_arguments([message], f"the message of {name}", is_checked=True)
    if isinstance(encoded, ActivityOutcome):
        raise RejectedError(encoded.code, encoded.reason)
    context = current_context()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(context.concurrency.slot())
        await context.task_size.make_room(len(encoded[0].payload.data))
        try:
            completed = await _run_to_its_end(run, encoded[0], name, task_queue)
        except WorkflowAlreadyStartedError as error:
            raise RejectedError("duplicate_child", f"a saga {error.workflow_id!r} exists already") from error
        except ChildWorkflowError as error:
            return _outcome_of_failure(error)
    return Completed(_read_result(completed, result_type_of(run), name))


async def _run_to_its_end(
    run: Callable[[Any, I], Awaitable[O]], message: RawValue, name: str, task_queue: str | None
) -> RawValue:
    workflow_id, context = workflow.info().workflow_id, current_context()
    start = workflow.start_child_workflow(
        WorkflowDefinition.get_name_and_result_type(run)[0],
        message,
        id=child_id(workflow_id, name),
        task_queue=task_queue,
        result_type=RawValue,
        cancellation_type=workflow.ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
        parent_close_policy=workflow.ParentClosePolicy.ABANDON,
        memo={INDEPENDENT_MEMO: IndependentMemo(parent_id=workflow_id)},
        static_summary=f"{name}, independent of {workflow_id}",
    )
    # A cancel would end the wait for the start, and the parent would not wait for the compensations.
    handle = await run_uncancelled(start)
    with context.open_children.with_child(handle, is_independent=True):
        if context.lifecycle.is_past_pivot:
            return await run_uncancelled(result_of(handle))
        if workflow.cancellation_reason() is not None or current_shield().was_interrupted:
            context.open_children.cancel(handle)
        return await result_of(handle)


def _read_result(completed: RawValue, result_type: type[Any] | None, name: str) -> Any:
    try:
        return workflow.payload_converter().from_payload(completed.payload, result_type or object)
    except Exception as error:
        raise UnknownOutcomeError(name, "the independent saga completed with an unreadable result") from error


def _outcome_of_failure(error: ChildWorkflowError) -> Compensated | Settled[Any] | CutOff:
    """The outcome of an independent saga that did not complete, by the failure in the parent's history."""
    cause = error.cause
    if isinstance(cause, CancelledError):
        reason = f"{error.workflow_id} was cancelled"
        return Compensated(CANCELLED, reason=reason, is_cancelled=True)
    if isinstance(cause, TimeoutError):
        return CutOff(how="timed-out", reason="a workflow timeout expired")
    if not isinstance(cause, ApplicationError):
        return CutOff(how="terminated", reason=error_text(cause or error))
    if cause.type not in (SAGA_COMPENSATED, SAGA_SETTLED):
        return CutOff(how="failed", code=cause.type or "failed", reason=cause.message)
    code, reason, field, *more = cause.details
    if cause.type == SAGA_COMPENSATED:
        return Compensated(code, reason=reason, field=field)
    resolutions = cast("dict[str, Any]", more[0] if more else {})
    return Settled(
        None, code, is_compensated=True, manual_resolutions=resolutions, reason=reason, field=field
    )
