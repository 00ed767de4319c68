"""What would wedge a workflow, or end it over the head of its saga: it is refused, and said why."""

from collections.abc import Callable, Sequence
from inspect import isfunction, signature
from typing import Any, cast

from pydantic import BaseModel
from temporalio import workflow
from temporalio.exceptions import ApplicationError
from temporalio.worker import ExecuteWorkflowInput, HandleSignalInput, HandleUpdateInput, StartActivityInput
from temporalio.workflow import _Definition as WorkflowDefinition  # pyright: ignore[reportPrivateUsage]

from .._errors import DefinitionError, RejectedError
from .._verdict import SAGA_REFUSED, Verdict
from .attempt import encode
from .run import Run

FindHandler = Callable[[str], object]
# Temporal types handlers loosely.
find_signal_handler = cast("FindHandler", workflow.get_signal_handler)  # pyright: ignore[reportUnknownMemberType]
find_update_handler = cast("FindHandler", workflow.get_update_handler)  # pyright: ignore[reportUnknownMemberType]
LARGEST_AT_ONCE = 2 * 1024 * 1024
"""Bytes, as a server has it that was not told otherwise."""


def check_own(input: StartActivityInput, run: Run) -> None:  # noqa: A002 - Temporal's
    """Refuses an activity of the workflow's own that would wedge it, and the compensations of its saga.

    Raises:
        DefinitionError: So would it be with any message.
        RejectedError: It was not sent, as its message is too large.
    """
    if input.cancellation_type is workflow.ActivityCancellationType.ABANDON:
        # Temporal 1.35: one that fails after its cancel wedges the workflow.
        raise DefinitionError(
            f"activity {input.activity!r} has cancellation type ABANDON, which can wedge a saga: "
            "give it TRY_CANCEL or WAIT_CANCELLATION_COMPLETED"
        )
    before = run.own.get(input.activity_id or "")
    if before is not None and not before.done():
        raise DefinitionError(
            f"activity id {input.activity_id!r} belongs to an activity that is under way: give each its own"
        )
    if not run.is_open:
        return
    encoded = encode(input.args, f"the message of {input.activity}", largest=LARGEST_AT_ONCE)
    if isinstance(encoded, Verdict):
        raise RejectedError(encoded.code, encoded.reason)
    run.load.add(sum(len(argument.payload.data) for argument in encoded))


def refuse_open_saga(run: Run) -> None:
    """Refuses to end a workflow before its saga.

    Raises:
        DefinitionError: Its saga is open.
    """
    if run.is_open:
        raise DefinitionError(
            "the workflow has ended before its saga: await the task in which the saga is open"
        )


def refuse_oversized(answer: object) -> None:
    """Refuses a result that the server would take for an error of the task, in words of its own.

    Raises:
        DefinitionError: It is larger than the server takes.
    """
    size = workflow.payload_converter().to_payload(answer).ByteSize()
    if size > LARGEST_AT_ONCE:
        raise DefinitionError(
            f"the result of the workflow has {size} bytes, and the server takes {LARGEST_AT_ONCE}: return "
            "less, such as where it is kept; the saga has ended, and nothing of it is lost"
        )


def check_arguments(started: ExecuteWorkflowInput, run: Run) -> None:
    """Fails a workflow that was started with other arguments than it takes; it would be wedged otherwise.

    Raises:
        ApplicationError: It was.
        DefinitionError: It has continued as new, and another version of it takes other arguments: its task
            fails until the code is mended, as it owes what it has done.
    """
    definition = WorkflowDefinition.must_from_run_fn(started.run_fn)
    refusal = misfit(started.run_fn, definition.arg_types or (), started.args)
    if not refusal:
        return
    if run.carried is not None:
        raise DefinitionError(f"the state of an earlier run does not fit: {refusal}")
    raise ApplicationError(
        f"{started.type.__name__} was started with other arguments than it takes: {refusal}",
        type=SAGA_REFUSED,
        non_retryable=True,
    )


def misfit_of_signal(sent: HandleSignalInput) -> str:
    """Why a signal cannot be handled, in words; nothing where it can."""
    defined = _own_definition().signals.get(sent.signal)
    if defined is None or _is_set(find_signal_handler, sent.signal):
        return ""
    return misfit(defined.fn, (), sent.args)


def refuse_misfit(sent: HandleUpdateInput) -> None:
    """Refuses an update that its handler does not take, to who has asked.

    Raises:
        ApplicationError: It has more arguments, or fewer.
    """
    defined = _own_definition().updates.get(sent.update)
    if defined is None or _is_set(find_update_handler, sent.update):
        return
    if why := misfit(defined.fn, (), sent.args):
        raise ApplicationError(
            f"update {sent.update!r} is refused: {why}", type=SAGA_REFUSED, non_retryable=True
        )


def _own_definition() -> WorkflowDefinition:
    return WorkflowDefinition.must_from_class(cast("type[Any]", workflow.instance().__class__))


def _is_set(find: FindHandler, name: str) -> bool:
    """Whether the workflow has set a handler in its method's place, which looks for itself."""
    # Temporal binds a method anew each time that it is asked for it.
    return find(name) is find(name)


def misfit(method: Callable[..., Any], kinds: Sequence[object], args: Sequence[object]) -> str:
    """Why a method cannot be called with these arguments, in words; nothing where it can."""
    try:
        if not _takes_so_many(method, len(args)):
            # A decorator may add arguments of its own.
            signature(method, follow_wrapped=False).bind(None, *args)
    except TypeError as error:
        return str(error)
    for kind, value in zip(kinds, args, strict=False):
        # Null and binary payloads are read without regard to the type, as are others than it takes in all.
        if isinstance(kind, type) and issubclass(kind, BaseModel) and not isinstance(value, kind):
            return f"{kind.__name__} is wanted, and {'null' if value is None else type(value).__name__} came"
    return ""


def _takes_so_many(method: Callable[..., Any], count: int) -> bool:
    """Whether that is plain from its code, as it is of nearly all; to bind them takes ten times as long."""
    if not isfunction(method):
        return False
    return method.__code__.co_argcount == 1 + count and not method.__code__.co_kwonlyargcount
