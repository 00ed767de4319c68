"""A saga as a child: the parent starts the child, waits for the end, and takes over pending compensations."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import (
    ApplicationError,
    CancelledError,
    ChildWorkflowError,
    WorkflowAlreadyStartedError,
)
from temporalio.workflow import _Definition as WorkflowDefinition  # pyright: ignore[reportPrivateUsage]

from .._core.activity_outcome import ActivityOutcome
from .._core.compensation import OnStuck, SectionSpec, confirmations_in_parent, plan_in_parent
from .._core.ids import child_id, in_parent
from .._core.lifecycle import ManualResolution
from .._errors import ChildOutcomeUnknownError, FailureKind, RejectedError, SagaError, WireFormatError
from .._execution.activity_call import encode_arguments
from .._run.cancellation_shield import current_shield, run_uncancelled
from .._run.context import current_context
from .._wire.child_saga import CHILD_MEMO, ChildMemo, ChildResult, child_result_type
from .._wire.error_text import error_text
from .._wire.failures import SAGA_COMPENSATED, SAGA_SETTLED, kind_in, reports_pending

CANCELLED = "cancelled"
"""The code of a child that was cancelled."""

I = TypeVar("I")  # noqa: E741 - what goes in, as in a step
O = TypeVar("O")  # noqa: E741 - what comes out


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A child saga to run.

    Args:
        name: The child's address in the parent.
        task_queue: The task queue of the child's workers; by default the parent's.
        is_pivot: Whether the child is the pivot of the parent.
        parent_on_stuck: Whether older compensations of the parent run while a newer one keeps failing.
        sections: The sections around the child, the outermost first.
        lost: The sections of the parent's lost alternatives, for a pivot.
    """

    name: str
    task_queue: str | None = None
    is_pivot: bool = False
    parent_on_stuck: OnStuck = OnStuck.CONTINUE
    sections: tuple[SectionSpec, ...] = ()
    lost: tuple[str, ...] = ()


class ChildCompensatedError(RejectedError):
    """A child failed and has compensated; a person may have resolved some compensations."""

    wire_type = "ChildCompensatedError"

    def __init__(
        self,
        error: RejectedError,
        manual_resolutions: Mapping[str, ManualResolution],
        kind: FailureKind = FailureKind.REJECTED,
    ) -> None:
        super().__init__(error.code, error.reason, error.field)
        self.manual_resolutions, self.kind = manual_resolutions, kind


def result_type_of(run: Callable[..., Awaitable[object]]) -> type[Any] | None:
    """The result type of a saga's run method."""
    return WorkflowDefinition.get_name_and_result_type(run)[1]


async def run_child(run: Callable[[Any, I], Awaitable[O]], message: I, child: Child) -> ChildResult[O]:
    """Runs a child to the end, and returns the child's result with addresses in the parent.

    Raises:
        RejectedError: The child failed or was cancelled, and has compensated.
        ChildOutcomeUnknownError: The child ended in another way, without reporting pending compensations.
    """
    name = child.name
    encoded = encode_arguments([message], f"the message of {name}", is_checked=True)
    if isinstance(encoded, ActivityOutcome):
        raise RejectedError(encoded.code, encoded.reason)
    try:
        completed = await _run_within_limits(run, encoded[0], child)
    except WorkflowAlreadyStartedError as error:
        raise RejectedError("duplicate_child", f"a saga {error.workflow_id!r} exists already") from error
    except ChildWorkflowError as error:
        raise _translated(name, error) from error
    result_type = child_result_type(result_type_of(run) or object)
    try:
        closed = workflow.payload_converter().from_payload(completed.payload, result_type)
    except Exception as error:
        reason = f": {error}" if isinstance(error, WireFormatError) else ""
        text = f"child {name!r} completed with an unreadable result{reason}"
        raise ChildOutcomeUnknownError(text) from error
    return ChildResult(
        result=closed.result,
        compensations=plan_in_parent(name, closed.compensations, child.task_queue),
        confirmations=confirmations_in_parent(name, closed.confirmations, child.task_queue),
        manual_resolutions={
            in_parent(name, address): how for address, how in closed.manual_resolutions.items()
        },
    )


async def _run_within_limits(
    run: Callable[[Any, I], Awaitable[O]], message: RawValue, child: Child
) -> RawValue:
    context = current_context()
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(context.concurrency.slot())
            await context.task_size.make_room(len(message.payload.data))
        except asyncio.CancelledError:
            cancelled = RejectedError(CANCELLED, f"{child.name} was cancelled before it was started")
            raise ChildCompensatedError(cancelled, {}, FailureKind.CANCELLED) from None
        return await _run_to_its_end(run, message, child)


async def _run_to_its_end(run: Callable[[Any, I], Awaitable[O]], message: RawValue, child: Child) -> RawValue:
    workflow_id = workflow.info().workflow_id
    open_children = current_context().open_children
    start = workflow.start_child_workflow(
        WorkflowDefinition.get_name_and_result_type(run)[0],
        message,
        id=child_id(workflow_id, child.name),
        task_queue=child.task_queue,
        result_type=RawValue,
        cancellation_type=workflow.ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
        parent_close_policy=workflow.ParentClosePolicy.REQUEST_CANCEL,
        memo={CHILD_MEMO: _memo(workflow_id, child)},
        static_summary=f"{child.name} of {workflow_id}",
    )
    # A cancel would end the wait for the start, and the parent would not wait for the child's compensations.
    handle = await run_uncancelled(start)
    with open_children.with_child(handle):
        await run_uncancelled(open_children.pass_on_hold(handle))
        if workflow.cancellation_reason() is not None or current_shield().was_interrupted:
            open_children.cancel(handle)
        return await result_of(handle)


def _memo(parent_id: str, child: Child) -> ChildMemo:
    return ChildMemo(
        parent_id=parent_id,
        is_pivot=child.is_pivot,
        parent_on_stuck=child.parent_on_stuck,
        sections=child.sections,
        lost=child.lost,
    )


async def result_of(child: workflow.ChildWorkflowHandle[Any, RawValue]) -> RawValue:
    """Returns the result of a child with the pending compensations, also where a cancel arrives as well."""
    try:
        return await child
    except asyncio.CancelledError:
        if not child.done():
            raise
        return child.result()


def _translated(name: str, error: ChildWorkflowError) -> SagaError:
    cause = error.cause
    if isinstance(cause, CancelledError):
        cancelled = RejectedError(CANCELLED, f"{name} was cancelled")
        return ChildCompensatedError(cancelled, {}, FailureKind.CANCELLED)
    if isinstance(cause, ApplicationError):
        if not reports_pending(cause):
            return ChildOutcomeUnknownError(f"child {name!r}: {cause.message}")
        if cause.type in (SAGA_COMPENSATED, SAGA_SETTLED):
            code, reason, field, *more = details = cause.details
            resolved = cast("Mapping[str, ManualResolution]", more[0] if more else {})
            manual_resolutions: dict[str, ManualResolution] = {
                in_parent(name, s): how for s, how in resolved.items()
            }
            failure = RejectedError(code, reason, field)
            return ChildCompensatedError(failure, manual_resolutions, kind_in(details))
        failure = RejectedError(cause.type or "failed", f"{name}: {cause.message}")
        return ChildCompensatedError(failure, {}, FailureKind.FAILED)
    return ChildOutcomeUnknownError(
        f"child {name!r} ended without its compensations: {error_text(cause or error)}"
    )
