"""Errors of a workflow's own handlers: Temporal would close the workflow with them, and all that it owes.

What a signal raises fails the saga, as if its block had raised it; past the pivot it changes nothing. What
an update raises is told to who has asked, and the saga goes on.
"""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ApplicationError, CancelledError

from .._errors import DefinitionError, RejectedError, SagaError, TooLateError, wire_type_of
from .._verdict import LONGEST_REASON, SAGA_REFUSED, SAGA_UNACCOUNTED, to_application_error
from .run import Run


def takes(run: Run, error: Exception | asyncio.CancelledError, signal: str) -> bool:
    """Whether the saga has taken what a signal's handler has raised; otherwise it ends the workflow.

    Raises:
        DefinitionError: It ends a child that owes what it has done.
        ApplicationError: It ends a child of which nobody knows what it owes.
    """
    if run.is_over:
        return True
    is_too_late = _is_too_late(run, error)
    if _is_bug(error) and not is_too_late:
        return False
    workflow.logger.warning("signal %r has failed: %s: %s", signal, type(error).__name__, error)
    if run.is_open:
        run.fail(_failure_of(error))
    elif run.carried is not None and not run.has_saga:
        # What an earlier run has done is made up for once the saga has begun in this one.
        run.failed = _failure_of(error)
    elif not is_too_late:
        refuse_to_parent(run, error)
        run.tell_completed()
        return False
    return True


def answer_of(run: Run, error: SagaError) -> Exception:
    """What an update fails with, for who has asked."""
    if isinstance(error, RejectedError):
        return to_application_error(error)
    if _is_bug(error) and not _is_too_late(run, error):
        return error
    kind = SAGA_REFUSED if _is_too_late(run, error) else error.wire_type
    return ApplicationError(str(error)[:LONGEST_REASON], type=kind, non_retryable=True)


def refuse_to_parent(run: Run, error: BaseException) -> None:
    """Refuses to end a child with an error that its parent would take for that of one that has compensated.

    Raises:
        DefinitionError: It owes what it has done.
        ApplicationError: It has activities that belong to no saga.
    """
    if run.is_child and run.owed:
        raise DefinitionError(
            f"{wire_type_of(error)} was raised in a child after its saga was completed: {error}"
        ) from error
    if run.is_child and run.has_activities and not run.has_saga:
        raise ApplicationError(
            f"{wire_type_of(error)} was raised after activities that belong to no saga",
            type=SAGA_UNACCOUNTED,
            non_retryable=True,
        ) from error


def _is_bug(error: BaseException) -> bool:
    """Whether the workflow's task fails with it until the code is mended, as with any other bug."""
    if isinstance(error, SagaError):
        return isinstance(error, DefinitionError)
    return not isinstance(error, asyncio.CancelledError) and not workflow.is_failure_exception(error)


def _is_too_late(run: Run, error: BaseException) -> bool:
    """Whether it is that of a step after the saga's end, or so; who has asked could not know of that."""
    if isinstance(error, TooLateError):
        return True
    return isinstance(error, DefinitionError) and run.has_saga and not run.is_open


def _failure_of(error: Exception | asyncio.CancelledError) -> Exception:
    return CancelledError(str(error)) if isinstance(error, asyncio.CancelledError) else error
