"""Parallel branches of a saga, started, observed and ended in the order of the code."""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from enum import StrEnum
from typing import Any

from temporalio import workflow

from .._errors import DefinitionError
from .._run.bugs import fail_task_for_bug
from .._run.cancellation_shield import CancellationShield
from .._run.forward_check import FIRST_CAUSE, check_forward, check_forward_after
from .._run.scope import Scope
from .._wire.error_text import error_text


class OnFailure(StrEnum):
    """The treatment of the other branches when a branch fails; the saga always waits for all branches."""

    FINISH = "finish"
    """The other branches go on to their end."""
    CANCEL = "cancel"
    """The other branches are cancelled: activities are asked to stop, and no further step begins."""


class _Branch:
    def __init__(self, body: Coroutine[object, None, object], failures: list[BaseException]) -> None:
        self.shield = CancellationShield()
        self._failures = failures
        self.task = asyncio.create_task(self._run(body))

    async def _run(self, body: Coroutine[object, None, object]) -> object:
        try:
            return await self.shield.protect(body)
        except Exception as error:
            # At once: with the mended code, the branch goes on where the history has no step of the branch.
            await fail_task_for_bug(error)
            self._failures.append(error)
            raise


async def run_parallel(
    bodies: Sequence[Coroutine[object, None, object]], scope: Scope, on_failure: OnFailure
) -> tuple[Any, ...]:
    """Runs all branches, and returns the results once every branch has ended.

    Raises:
        DefinitionError: A branch is not a coroutine; no branch was begun.
        Exception: The first failure, with the other failures as notes.
        asyncio.CancelledError: The saga compensates, or the calling branch was cancelled.
    """
    refuse_other_than_coroutines(bodies, "parallel")
    failures: list[BaseException] = []
    branches = [_Branch(body, failures) for body in bodies]
    cancels = on_failure is OnFailure.CANCEL
    try:
        await workflow.wait_condition(lambda: _have_ended(branches) or (cancels and bool(failures)))
        if not _have_ended(branches):
            _interrupt(branches)
            await workflow.wait_condition(lambda: _have_ended(branches))
    except asyncio.CancelledError:
        # The saga compensates, the calling branch was cancelled, or a timeout of the calling code is over.
        _interrupt(branches)
        while not _have_ended(branches):
            with suppress(asyncio.CancelledError):
                await workflow.wait_condition(lambda: _have_ended(branches))
        # From the cancel on, a branch fails only for a reason from before the cancel.
        if failures and workflow.patched(FIRST_CAUSE):
            raise with_notes(failures, "branch") from None
        raise
    if failures:
        check_forward_after(first := with_notes(failures, "branch"), scope)
        raise first
    check_forward(scope)
    endings = [branch.task.exception() for branch in branches if not branch.task.cancelled()]
    if any(endings) or len(endings) < len(branches):
        raise asyncio.CancelledError("a branch was cancelled")
    return tuple(branch.task.result() for branch in branches)


def with_notes(failures: Sequence[BaseException], kind: str) -> BaseException:
    """The first failure, with notes about the other failures."""
    for other in failures[1:]:
        failures[0].add_note(f"and another {kind} failed: {type(other).__name__}: {error_text(other)}")
    return failures[0]


def refuse_other_than_coroutines(bodies: Sequence[object], method: str) -> None:
    """Refuses tasks, because a task begins before the saga could hold the branch.

    Raises:
        DefinitionError: An argument of the method is not a coroutine; the others are closed.
    """
    wrong = [body for body in bodies if not isinstance(body, Coroutine)]
    if not wrong:
        return
    for body in bodies:
        if isinstance(body, Coroutine):
            body.close()  # Otherwise Python warns that the coroutine was never awaited.
    raise DefinitionError(
        f"a branch is a coroutine, such as `saga.step(...)`, not a {type(wrong[0]).__name__}: "
        f"`{method}` makes its tasks itself"
    )


def _have_ended(branches: Sequence[_Branch]) -> bool:
    return all(branch.task.done() for branch in branches)


def _interrupt(branches: Sequence[_Branch]) -> None:
    for branch in branches:
        branch.shield.interrupt()
