"""Parallel branches of a saga, started, observed and ended in the order of the code."""

import asyncio
from collections import deque
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from enum import StrEnum
from typing import Any

from temporalio import workflow

from .._declarations.option_checks import check_count
from .._errors import DefinitionError
from .._run.bugs import fail_task_for_bug
from .._run.cancellation_shield import CancellationShield
from .._run.forward_check import FIRST_CAUSE, check_forward, check_forward_after
from .._run.scope import Scope
from .._wire.error_text import error_text

MOST_BRANCHES = 100_000
MOST_NOTES = 10
"""The most failures named in the notes of the first failure: Temporal refuses a failure of many MiB."""


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


class _Branches:
    """The branches of one call, begun in order."""

    def __init__(self, bodies: Sequence[Coroutine[object, None, object]], limit: int | None) -> None:
        self._waiting = deque(bodies)
        self._limit = limit or len(bodies)
        self._under_way: list[_Branch] = []
        self.begun: list[_Branch] = []
        self.failures: list[BaseException] = []
        """The errors of the failed branches, the first failure first."""

    @property
    def have_ended(self) -> bool:
        """Whether every branch has ended, and no branch waits to begin."""
        return not self._waiting and all(branch.task.done() for branch in self.begun)

    @property
    def have_room(self) -> bool:
        """Whether a waiting branch may begin."""
        return bool(self._waiting) and sum(not b.task.done() for b in self._under_way) < self._limit

    def begin(self) -> None:
        """Begins as many of the waiting branches as the limit allows."""
        self._under_way = [branch for branch in self._under_way if not branch.task.done()]
        while self._waiting and len(self._under_way) < self._limit:
            branch = _Branch(self._waiting.popleft(), self.failures)
            self.begun.append(branch)
            self._under_way.append(branch)

    def interrupt(self) -> None:
        """Cancels the branches under way; no waiting branch begins from here on."""
        self.drop_waiting()
        for branch in self.begun:
            branch.shield.interrupt()

    def drop_waiting(self) -> None:
        """Closes the branches that have not begun."""
        _close(self._waiting)
        self._waiting.clear()


async def run_parallel(
    bodies: Sequence[Coroutine[object, None, object]],
    scope: Scope,
    on_failure: OnFailure,
    limit: int | None = None,
) -> tuple[Any, ...]:
    """Runs all branches, and returns the results once every branch has ended.

    Branches are begun by the calling task alone, when every other task of the workflow waits: a replay begins
    each branch at the same place of the history.

    Args:
        bodies: The branches.
        scope: The saga.
        on_failure: Whether the other branches go on after a failure.
        limit: The most branches under way at once; by default all.

    Raises:
        DefinitionError: A branch is not a coroutine, or the limit is not a positive int; no branch was begun.
        Exception: The first failure, with the other failures as notes.
        asyncio.CancelledError: The saga compensates, or the calling branch was cancelled.
    """
    refuse_other_than_coroutines(bodies, "parallel")
    _check_limit(bodies, limit)
    branches = _Branches(bodies, limit)
    try:
        await _run_to_end(branches, cancels=on_failure is OnFailure.CANCEL)
    except asyncio.CancelledError:
        # The saga compensates, the calling branch was cancelled, or a timeout of the calling code is over.
        branches.interrupt()
        while not branches.have_ended:
            with suppress(asyncio.CancelledError):
                await workflow.wait_condition(lambda: branches.have_ended)
        # From the cancel on, a branch fails only for a reason from before the cancel.
        if branches.failures and workflow.patched(FIRST_CAUSE):
            raise with_notes(branches.failures, "branch") from None
        raise
    finally:
        # An eviction ends the wait in the middle.
        branches.drop_waiting()
    if branches.failures:
        check_forward_after(first := with_notes(branches.failures, "branch"), scope)
        raise first
    check_forward(scope)
    if any(branch.task.cancelled() or branch.task.exception() for branch in branches.begun):
        raise asyncio.CancelledError("a branch was cancelled")
    return tuple(branch.task.result() for branch in branches.begun)


async def _run_to_end(branches: _Branches, *, cancels: bool) -> None:
    while True:
        branches.begin()
        await workflow.wait_condition(
            lambda: branches.have_ended or branches.have_room or (cancels and bool(branches.failures))
        )
        if branches.have_ended:
            return
        if cancels and branches.failures:
            branches.interrupt()
            await workflow.wait_condition(lambda: branches.have_ended)
            return


def with_notes(failures: Sequence[BaseException], kind: str) -> BaseException:
    """The first failure, with notes about up to ten of the other failures."""
    first, *others = failures
    for other in others[:MOST_NOTES]:
        first.add_note(f"and another {kind} failed: {type(other).__name__}: {error_text(other)}")
    if more := len(others[MOST_NOTES:]):
        first.add_note(f"and the number of further failures is {more}")
    return first


def refuse_other_than_coroutines(bodies: Sequence[object], method: str) -> None:
    """Refuses tasks, because a task begins before the saga could hold the branch.

    Raises:
        DefinitionError: An argument of the method is not a coroutine; the others are closed.
    """
    wrong = [body for body in bodies if not isinstance(body, Coroutine)]
    if not wrong:
        return
    _close(bodies)
    raise DefinitionError(
        f"a branch is a coroutine, such as `saga.step(...)`, not a {type(wrong[0]).__name__}: "
        f"`{method}` makes its tasks itself"
    )


def _check_limit(bodies: Sequence[object], limit: int | None) -> None:
    try:
        if limit is not None:
            check_count("limit", limit, 1, MOST_BRANCHES)
    except DefinitionError:
        _close(bodies)
        raise


def _close(bodies: Sequence[object]) -> None:
    """Closes coroutines that never begin: otherwise Python warns about coroutines that were never awaited."""
    for body in bodies:
        if isinstance(body, Coroutine):
            body.close()
