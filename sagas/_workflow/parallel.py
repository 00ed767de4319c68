"""Branches of a saga that run at the same time: started, watched and ended in the order of the code."""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from enum import StrEnum
from typing import Any

from temporalio import workflow

from .._errors import DefinitionError
from .._run.cancellation_shield import CancellationShield
from .._run.forward_check import ForwardCheck


class OnFailure(StrEnum):
    """What becomes of the other branches when one fails; the saga waits for them in any case."""

    FINISH = "finish"
    """They go on to their end."""
    CANCEL = "cancel"
    """They are cancelled: what is under way is asked to stop, and nothing more begins."""


class _Branch:
    def __init__(self, body: Coroutine[Any, Any, Any], failed: list[BaseException]) -> None:
        self.guard = CancellationShield(hears_workflow=False)
        self._failed = failed
        self.task = asyncio.create_task(self._run(body))

    async def _run(self, body: Coroutine[Any, Any, Any]) -> object:
        try:
            return await self.guard.protect(body)
        except Exception as error:
            self._failed.append(error)
            raise


async def run_parallel(
    bodies: Sequence[Coroutine[Any, Any, Any]], course: ForwardCheck, on_failure: OnFailure
) -> tuple[Any, ...]:
    """Runs all of them and returns their results, once every one has ended.

    Raises:
        DefinitionError: One of them is no coroutine; none was begun.
        Exception: The first failure; what else failed is noted on it.
        asyncio.CancelledError: The saga turns round, or the branch in which this is called was cancelled.
    """
    _refuse_other_than_coroutines(bodies)
    failed: list[BaseException] = []
    branches = [_Branch(body, failed) for body in bodies]
    is_hasty = on_failure is OnFailure.CANCEL
    try:
        await workflow.wait_condition(lambda: _have_ended(branches) or (is_hasty and bool(failed)))
        if not _have_ended(branches):
            _interrupt(branches)
            await workflow.wait_condition(lambda: _have_ended(branches))
    except asyncio.CancelledError:
        # The saga turns round, a branch was cancelled, or a time limit of the caller's own is up.
        _interrupt(branches)
        while not _have_ended(branches):
            with suppress(asyncio.CancelledError):
                await workflow.wait_condition(lambda: _have_ended(branches))
        raise
    course.check()
    endings = [branch.task.exception() for branch in branches if not branch.task.cancelled()]
    if failed:
        for other in failed[1:]:
            failed[0].add_note(f"and another branch failed: {type(other).__name__}: {other}")
        raise failed[0]
    if any(endings) or len(endings) < len(branches):
        raise asyncio.CancelledError("a branch was cancelled")
    return tuple(branch.task.result() for branch in branches)


def _refuse_other_than_coroutines(bodies: Sequence[object]) -> None:
    """A task has begun by itself, and nobody could hold it up; who has no type checker may give one."""
    wrong = [body for body in bodies if not isinstance(body, Coroutine)]
    if not wrong:
        return
    for body in bodies:
        if isinstance(body, Coroutine):
            body.close()  # it would be said of it that it was never awaited
    raise DefinitionError(
        f"a branch is a coroutine, such as `saga.step(...)`, not a {type(wrong[0]).__name__}: "
        "`parallel` makes its tasks itself"
    )


def _have_ended(branches: Sequence[_Branch]) -> bool:
    return all(branch.task.done() for branch in branches)


def _interrupt(branches: Sequence[_Branch]) -> None:
    for branch in branches:
        branch.guard.interrupt()
