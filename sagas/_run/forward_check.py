"""Checks before and after every forward step: whether the saga may still go forward.

A saga stops going forward when the workflow is cancelled, when the saga's time is up, when an operator
requests compensation, and when a signal handler fails.
"""

import asyncio
from contextlib import suppress
from datetime import timedelta

from temporalio import workflow

from .._core.lifecycle import Phase
from .._core.status import Status
from .._errors import DefinitionError
from .cancellation_shield import current_shield
from .open_section import current_section
from .scope import Scope

YEAR = timedelta(days=365)
"""The default timeout of a wait: every wait of a saga has a timer. Temporal may run a first workflow task
without commands together with the next workflow task, and then does not know the updates of the workflow."""

FIRST_CAUSE = "saga-first-cause"
"""The patch id of runs whose first cause of the compensation counts; runs of an earlier version let a later
request or cancel replace the cause. Only a run with two causes has the marker in the history."""


def is_compensation_requested(scope: Scope) -> bool:
    """Whether a forward saga has to compensate, by a cancel or by a request."""
    lifecycle = scope.lifecycle
    is_requested = workflow.cancellation_reason() is not None or lifecycle.compensation_cause is not None
    return is_requested and lifecycle.is_before_pivot


def check_forward(scope: Scope) -> None:
    """Checks that the saga may go forward; also finds a request to compensate that was delivered before.

    Raises:
        asyncio.CancelledError: The saga compensates, or has to compensate.
        DefinitionError: The saga, or the section, is not open: the step could not be compensated.
        DeadlineExceededError: The timeout of the section is over.
    """
    lifecycle = scope.lifecycle
    if not lifecycle.is_open:
        raise DefinitionError(
            "a step is called outside of its saga: call it inside `async with Saga() as saga:`"
        )
    if lifecycle.phase is Phase.COMPENSATING:
        # A handler, or a task of the workflow's own, cannot know about the compensation.
        raise asyncio.CancelledError("the saga is compensating")
    if is_compensation_requested(scope):
        cause = workflow.cancellation_reason() or str(lifecycle.compensation_cause or "cancelled")
        raise asyncio.CancelledError(cause)
    # The main task is only interrupted to compensate; a branch also because another branch failed.
    if (shield := current_shield()) is not scope.shield and shield.was_interrupted:
        raise asyncio.CancelledError("the branch was cancelled")
    if (section := current_section()) is not None:
        section.check()


def check_forward_after(failure: BaseException, scope: Scope) -> None:
    """Checks as `check_forward` does, after a failure that came before any request to compensate.

    Raises:
        BaseException: The failure, if the saga has to compensate by a later request: the first cause counts.
    """
    try:
        check_forward(scope)
    except asyncio.CancelledError:
        if workflow.patched(FIRST_CAUSE):
            raise failure from None
        raise


async def wait_until_forward(scope: Scope) -> None:
    """Waits as long as the saga is held, and then checks as `check_forward` does."""
    while _is_held(scope):
        # The timer lets Temporal know the updates of the workflow, see `YEAR`.
        with suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: not _is_held(scope), timeout=YEAR, timeout_summary=Status.HELD.value
            )
    check_forward(scope)


def _is_held(scope: Scope) -> bool:
    is_going_forward = (
        not is_compensation_requested(scope) and scope.lifecycle.phase is not Phase.COMPENSATING
    )
    return scope.lifecycle.is_held and is_going_forward
