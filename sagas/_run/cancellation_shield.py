"""Who may cancel a workflow, and when: a cancel reaches its code only while going back is still right.

Temporal delivers a cancel once, by cancelling the workflow's main task, wherever that waits. After the pivot
it would stop the very work that must not stop. The guard stands between the main task and the workflow's
coroutine: while it listens it passes everything through untouched (the same futures, so that workflows
without a saga are replayed as ever); while it is deaf, from the moment in which the pivot may have happened,
it waits on a stand-in for each future, so that a cancel hits the stand-in, is noted, and the future goes on.
Compensations run in a task of their own, which no cancel reaches: see `run_uncancelled`.

A saga interrupts a task in the same way: when its time is up, when an operator has it turn round, and when
a parallel branch fails whose siblings are to be cancelled.
"""

import asyncio
from collections.abc import Awaitable, Coroutine, Generator
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

from temporalio import workflow

T = TypeVar("T")


class CancellationShield:
    """Passes a cancel on to the body of a task, or keeps it away.

    Args:
        hears_workflow: Whether it stands before the main task, which a cancel of the workflow reaches.
    """

    def __init__(self, *, hears_workflow: bool = True) -> None:
        self.is_shielded = False
        self.was_interrupted = False
        self._hears_workflow = hears_workflow
        self._has_seen_cancel = False
        self._is_interrupting = False
        self._task: asyncio.Task[Any] | None = None

    def interrupt(self) -> None:
        """Cancels what the body waits for; while the guard is deaf, whoever made it so looks afterwards."""
        is_first, self.was_interrupted = not self.was_interrupted, True
        if is_first and not self.is_shielded and self._task is not None and not self._task.done():
            self._is_interrupting = True
            self._task.cancel()

    def protect(self, body: Coroutine[Any, Any, T]) -> Awaitable[T]:
        """Runs `body` in the task that awaits the result, with the guard in between."""
        return _Protected(self, body)

    def enter(self) -> None:
        """Stands before the current task from now on."""
        self._task = asyncio.current_task()
        self.answer()

    def answer(self) -> None:
        """Is the guard that the current task asks, and those that it creates."""
        _current.set(self)

    def absorbs_cancel(self) -> bool:
        """Whether the cancellation that has just arrived is a cancel or an interruption that must not pass.

        A workflow is cancelled at most once in a run: whatever comes without a cancel, or after it, is
        the eviction of the workflow from the worker's cache or a time limit, and passes always.
        """
        task = asyncio.current_task()
        assert task is not None
        was_interrupted, self._is_interrupting = self._is_interrupting, False
        if was_interrupted:
            task.uncancel()
        was_cancelled = task.cancelling() > 0 and workflow.cancellation_reason() is not None
        is_cancel = self._hears_workflow and was_cancelled and not self._has_seen_cancel
        self._has_seen_cancel = self._has_seen_cancel or is_cancel
        # One that is left over is the cancel that an activity has swallowed, or a time limit that ran out
        # at the same moment; so what has just arrived is an eviction, or belongs to that limit.
        if is_cancel:
            return self.is_shielded and task.uncancel() == 0
        return was_interrupted and self.is_shielded and task.cancelling() == 0


async def run_uncancelled(body: Coroutine[Any, Any, T]) -> T:
    """Runs `body` in a task of its own, so that nothing which ends the wait for it cuts it off.

    That is a cancel where no guard stands before the calling task, and a time limit of the caller's own.
    Whoever may be cancelled looks for it afterwards.
    """
    try:
        task = asyncio.create_task(body)
    except BaseException:
        # The workflow is being evicted.
        body.close()
        raise
    while not task.done():
        # An eviction ends the task as well.
        with suppress(asyncio.CancelledError):
            await workflow.wait([task])
    return task.result()


_current: ContextVar[CancellationShield] = ContextVar("saga-guard")


def current_guard() -> CancellationShield:
    """The guard that stands before the current task, or before the task that created it."""
    return _current.get()


class _Protected(Generic[T]):
    """Drives a coroutine by hand: what it yields goes to the task, what comes back goes to it or not."""

    def __init__(self, guard: CancellationShield, body: Coroutine[Any, Any, T]) -> None:
        self._guard = guard
        self._body = body

    def __await__(self) -> Generator[Any, Any, T]:
        self._guard.enter()
        thrown: BaseException | None = None
        while True:
            try:
                future = self._body.throw(thrown) if thrown else self._body.send(None)
            except StopIteration as stop:
                result: T = stop.value
                return result
            try:
                thrown = yield from self._wait(future)
            except GeneratorExit:
                self._body.close()
                raise

    def _wait(self, future: asyncio.Future[Any] | None) -> Generator[Any, Any, BaseException | None]:
        """Waits for `future`; returns what the task throws in meanwhile and the body must see."""
        while True:
            try:
                if future is None or not self._guard.is_shielded:
                    yield future
                else:
                    yield from _stand_in(future)
            except asyncio.CancelledError as cancelled:
                if not self._guard.absorbs_cancel():
                    return cancelled
                if future is not None and not future.done():
                    continue
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001 - a failed future, or one that is being evicted
                return error
            return None


def _stand_in(future: asyncio.Future[Any]) -> Generator[Any, Any, None]:
    """Waits until `future` is done, such that cancelling the wait does not cancel the future."""
    # The coroutine has just announced that it will wait for `future`; the task must wait for the stand-in.
    future._asyncio_future_blocking = False
    stand_in: asyncio.Future[None] = future.get_loop().create_future()

    def wake(_: asyncio.Future[Any]) -> None:
        if not stand_in.done():
            stand_in.set_result(None)

    future.add_done_callback(wake)
    try:
        yield from stand_in
    finally:
        future.remove_done_callback(wake)
