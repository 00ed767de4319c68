"""Errors of a workflow's own handlers; without translation, Temporal would close the workflow.

A workflow that is closed by the error of a handler would lose compensations. An error of a signal handler
fails the saga, as if the block of the saga had raised the error; past the pivot the error changes nothing. An
error of an update is returned to the sender of the update, and the saga goes on.
"""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ApplicationError, CancelledError

from .._errors import (
    DefinitionError,
    RejectedError,
    SagaError,
    TooLateError,
    wire_type_of,
)
from .._run.bugs import first_error_of, is_failure, leaves_of
from .._run.context import RunContext
from .._wire.error_text import error_text
from .._wire.failures import (
    LONGEST_REASON,
    SAGA_FOREIGN_WORK,
    SAGA_REFUSED,
    to_application_error,
    trimmed_cause,
)


def absorb_signal_error(context: RunContext, error: Exception | asyncio.CancelledError, signal: str) -> bool:
    """Passes the error of a signal handler to the saga; returns whether the workflow goes on.

    Raises:
        DefinitionError: The error ends a child with pending compensations.
        ApplicationError: The error ends a child whose work outside of a saga cannot be compensated.
    """
    if context.has_returned:
        return True
    is_too_late = _is_too_late(context, error)
    if _is_bug(error) and not is_too_late:
        return False
    workflow.logger.warning("signal %r has failed: %s: %s", signal, type(error).__name__, error_text(error))
    if context.scope is not None and context.lifecycle.is_open:
        context.scope.request_compensation(_failure_of(error))
    elif context.continued is not None and not context.has_saga:
        # The steps of an earlier run are compensated once this run has opened the saga.
        context.error_before_open = _failure_of(error)
    elif not is_too_late:
        refuse_to_parent(context, error)
        context.publish_completion()
        return False
    return True


def update_error(context: RunContext, error: Exception) -> Exception:
    """The error of an update, for the sender of the update; the first error of a group of failures."""
    is_too_late = _is_too_late(context, error)
    if _is_bug(error) and not is_too_late:
        return error
    error = first_error_of(error)
    if isinstance(error, RejectedError):
        return to_application_error(error)
    if not isinstance(error, SagaError):
        return error
    kind = SAGA_REFUSED if is_too_late else error.wire_type
    return ApplicationError(error_text(error)[:LONGEST_REASON], type=kind, non_retryable=True)


def refuse_to_parent(context: RunContext, error: BaseException) -> None:
    """Refuses to end a child with an error from which the parent would conclude a completed compensation.

    Raises:
        DefinitionError: The child has pending compensations.
        ApplicationError: The child has activities outside of a saga.
    """
    if context.is_child and context.pending_for_parent:
        raise DefinitionError(
            f"{wire_type_of(error)} was raised in a child after its saga was completed: {error_text(error)}"
        ) from trimmed_cause(error)
    if context.is_child and context.has_foreign_work and not context.has_saga:
        raise ApplicationError(
            f"{wire_type_of(error)} was raised after activities that belong to no saga",
            type=SAGA_FOREIGN_WORK,
            non_retryable=True,
        ) from trimmed_cause(error)


def _is_bug(error: BaseException) -> bool:
    """Whether the error fails the workflow task until the code is mended, as any other bug does."""
    is_definition = any(isinstance(each, DefinitionError) for each in leaves_of(error))
    return is_definition or not is_failure(error)


def _is_too_late(context: RunContext, error: BaseException) -> bool:
    """Whether a handler called the saga too late; the code of a handler cannot prevent a late call."""
    if isinstance(error, TooLateError):
        return True
    return isinstance(error, DefinitionError) and context.has_saga and not context.lifecycle.is_open


def _failure_of(error: Exception | asyncio.CancelledError) -> Exception:
    if isinstance(error, asyncio.CancelledError):
        return CancelledError(error_text(error))
    return first_error_of(error)
