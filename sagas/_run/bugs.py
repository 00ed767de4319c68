"""Bugs of workflow code: a bug fails the workflow task until the code is mended, and compensates nothing."""

import asyncio
from typing import NoReturn, cast

from temporalio import workflow

from .._errors import SagaError, WireFormatError
from .._wire.error_text import error_text, text_of
from .._wire.failures import LARGEST_CAUSE, LONGEST_REASON
from .._wire.reportable_error import first_frames, reportable, size_of_report

PATCH = "saga-bugs-fail-the-task"
"""The patch id of runs in which a bug fails the workflow task; runs of earlier versions compensate instead.

No history has the marker of the patch: the failed workflow task discards the marker.
"""


def is_failure(error: BaseException) -> bool:
    """Whether an error is an expected failure, and no bug.

    Errors of this SDK, cancellations, and the errors with which Temporal closes a workflow are failures:
    `FailureError`, `asyncio.TimeoutError`, and the registered `failure_exception_types`. A group is a failure
    if all errors of the group are failures.
    """
    is_ours = isinstance(error, SagaError) and not isinstance(error, WireFormatError)
    if is_ours or isinstance(error, asyncio.CancelledError) or workflow.is_failure_exception(error):
        return True
    leaves = leaves_of(error)
    return leaves[0] is not error and all(map(is_failure, leaves))


def first_error_of(error: Exception) -> Exception:
    """Returns the first error of a group, with the other errors as notes; any other error as it is."""
    first, *others = leaves_of(error)
    for other in others:
        first.add_note(f"and: {type(other).__name__}: {error_text(other)}")
    return cast("Exception", first)


def leaves_of(error: BaseException) -> list[BaseException]:
    """Returns the errors of a group at any depth, or the error alone."""
    leaves, waiting = list[BaseException](), [error]
    while waiting:
        link = waiting.pop()
        if isinstance(link, BaseExceptionGroup):
            waiting += reversed(cast("BaseExceptionGroup[BaseException]", link).exceptions)
        else:
            leaves.append(link)
    return leaves


async def fail_task_for_bug(error: BaseException) -> None:
    """Fails the workflow task if an error is a bug; no code of the workflow can catch the error.

    The saga stays as in the history, and a worker with mended code continues the saga. The call returns for a
    failure, and in the replay of a history of an earlier version, which compensated after a bug.
    """
    # The patch is not asked in a replay: the answer would also count for a later bug, outside of the replay.
    if not is_failure(error) and not workflow.unsafe.is_replaying() and workflow.patched(PATCH):
        await _fail_task(_reported(error))


def reported(error: Exception) -> Exception:
    """Returns a bug in a form that the log and the history can hold; a failure as it is."""
    return error if is_failure(error) else _reported(error)


async def _fail_task(error: Exception) -> None:
    """Fails the workflow task, and waits for the eviction of the workflow."""

    def fail() -> NoReturn:
        raise error

    # Temporal evaluates the condition outside of all tasks of the workflow.
    await workflow.wait_condition(fail)


def _reported(error: BaseException) -> Exception:
    """Returns the bug, or a copy that can be written into the log and the history.

    The copy is no `FailureError`: such an error would close the workflow.
    """
    is_small = size_of_report(error) <= LARGEST_CAUSE
    leaves = leaves_of(error)
    is_group = leaves[0] is not error
    safe = reportable(error)
    if isinstance(error, Exception) and safe is error and is_small and not is_group:
        return error
    text = error_text(error)
    if is_group:
        texts = (f"{type(each).__name__}: {error_text(each)}" for each in leaves)
        text = f"{text}: {'; '.join(texts)}"
    named: type[Exception] = type(text_of(type(error).__name__), (Exception,), {})
    copy = named(text[:LONGEST_REASON])
    copy.__cause__ = safe.__cause__ if is_small and safe is not error else None
    copy.__suppress_context__ = True
    return copy.with_traceback(first_frames(error.__traceback__))
