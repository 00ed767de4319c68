"""A saga as a step of another: started, waited for, and taken over by its parent when it has closed."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
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

from .._errors import Lost, RejectedError, SagaError
from .._keys import child_id, in_parent
from .._ledger import Compensation, Owed, Together
from .._verbs import ByHand
from .._verdict import SAGA_COMPENSATED, SAGA_SETTLED, Verdict, says_what_is_owed
from .attempt import encode
from .guard import current_guard, to_its_end
from .run import CHILD_MEMO, Closed, Descent, current

I = TypeVar("I")  # noqa: E741 - what goes in, as in a step
O = TypeVar("O")  # noqa: E741 - what comes out


class ChildRejectedError(RejectedError):
    """A child failed, and has made up for what it had done; some of it perhaps by hand."""

    wire_type = "ChildRejectedError"

    def __init__(self, error: RejectedError, by_hand: Mapping[str, ByHand]) -> None:
        super().__init__(error.code, error.reason, error.field)
        self.by_hand = by_hand


def result_type_of(run: Callable[..., Awaitable[object]]) -> type[Any] | None:
    """What a saga returns."""
    return WorkflowDefinition.get_name_and_result_type(run)[1]


async def run_child(
    run: Callable[[Any, I], Awaitable[O]], message: I, *, name: str, task_queue: str | None, is_pivot: bool
) -> Closed[O]:
    """Runs the child to its end and returns its result with what it owes, in the words of the parent.

    Raises:
        RejectedError: It failed, or was cancelled, and has compensated.
        Lost: It ended in another way; nobody here knows what it owes.
    """
    workflow_type, result_type = WorkflowDefinition.get_name_and_result_type(run)
    info = workflow.info()
    encoded = encode([message], f"the message of {name}")
    if isinstance(encoded, Verdict):
        raise RejectedError(encoded.code, encoded.reason)
    try:
        await current().load.make_room(len(encoded[0].payload.data))
    except asyncio.CancelledError:
        raise RejectedError("cancelled", f"{name} was cancelled before it was started") from None
    start = workflow.start_child_workflow(
        workflow_type,
        encoded[0],
        id=child_id(info.workflow_id, name),
        task_queue=task_queue,
        result_type=RawValue,
        cancellation_type=workflow.ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
        parent_close_policy=workflow.ParentClosePolicy.REQUEST_CANCEL,
        memo={CHILD_MEMO: Descent(child_of=info.workflow_id, is_pivot=is_pivot)},
        static_summary=f"{name} of {info.workflow_id}",
    )
    try:
        # A cancel would end the wait for the start, and nobody would wait for the child's compensations.
        handle = await to_its_end(start)
        with current().family.with_child(handle):
            await to_its_end(current().family.catch_up(handle))
            if workflow.cancellation_reason() is not None or current_guard().was_interrupted:
                current().family.cancel(handle)
            answer = await _answer_of(handle)
    except WorkflowAlreadyStartedError as error:
        raise RejectedError("duplicate_child", f"a saga {error.workflow_id!r} exists already") from error
    except ChildWorkflowError as error:
        raise _translated(name, error) from error
    try:
        closed = workflow.payload_converter().from_payload(answer.payload, closed_with(result_type or object))
    except Exception as error:
        raise Lost(f"child {name!r} completed with an answer that nobody can read") from error
    return Closed(
        result=closed.result,
        owed=owed_in_parent(name, closed.owed, task_queue),
        by_hand={in_parent(name, address): how for address, how in closed.by_hand.items()},
    )


async def _answer_of(child: workflow.ChildWorkflowHandle[Any, RawValue]) -> RawValue:
    """What a child has answered, also if a cancel comes with it: what it owes must not be lost."""
    try:
        return await child
    except asyncio.CancelledError:
        if not child.done():
            raise
        return child.result()


def closed_with(result: type[object]) -> type[Closed[Any]]:
    """`Closed` of what a child's run returns."""
    try:
        return _kept(result)  # type: ignore[arg-type]  # mypy looks at the hash of an instance
    except TypeError:
        # Not every type can be looked up in a cache: `Annotated` with a dictionary, for one.
        return _made(result)


def _made(result: type[object]) -> type[Closed[Any]]:
    # Built while the saga runs, so no type checker can follow.
    return Closed.__class_getitem__(result)  # type: ignore[return-value]


# Pydantic forgets such a model as soon as nobody has it, and to make it takes a millisecond. Few, as a type
# of the workflow's own module is another one in each run, and keeps that run's module.
_kept = lru_cache(maxsize=32)(_made)


def owed_in_parent(child: str, owed: tuple[Owed, ...], task_queue: str | None) -> tuple[Owed, ...]:
    """What a child owes, as its parent has it: with the addresses that it has there, and sent to its workers.

    Args:
        child: Its address.
        owed: As the child has it.
        task_queue: Where its workers listen, where that is not where the parent's do.
    """
    return tuple(
        part.model_copy(
            update={
                "address": in_parent(child, part.address),
                "task_queue": part.task_queue or task_queue,
            }
        )
        if isinstance(part, Compensation)
        else Together(lanes=tuple(owed_in_parent(child, lane, task_queue) for lane in part.lanes))
        for part in owed
    )


def _translated(name: str, error: ChildWorkflowError) -> SagaError:
    cause = error.cause
    if isinstance(cause, CancelledError):
        return RejectedError("cancelled", f"{name} was cancelled")
    if isinstance(cause, ApplicationError):
        if not says_what_is_owed(cause):
            return Lost(f"child {name!r}: {cause.message}")
        if cause.type in (SAGA_COMPENSATED, SAGA_SETTLED):
            code, reason, field, *more = cause.details
            settled = cast("Mapping[str, ByHand]", more[0] if more else {})
            by_hand: dict[str, ByHand] = {in_parent(name, step): how for step, how in settled.items()}
            return ChildRejectedError(RejectedError(code, reason, field), by_hand)
        return RejectedError(cause.type or "failed", f"{name}: {cause.message}")
    return Lost(f"child {name!r} ended without its compensations: {cause or error}")
