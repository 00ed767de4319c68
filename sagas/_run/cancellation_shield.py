"""The shield between a cancel and the code of a workflow: a cancel passes while compensating is still right.

Temporal delivers a cancel once, by cancelling the main task of the workflow, wherever the task waits. After
the pivot, the cancel would stop work that must not stop. The shield stands between the main task and the
coroutine of the workflow. While the lifecycle of the saga lets cancels pass, the shield passes every future
through untouched, so that workflows without a saga replay as ever. While the lifecycle blocks cancels, the
shield waits on a stand-in for each future: the cancel hits the stand-in and is noted, and the future goes on.
Compensations run in a task of their own, which no cancel reaches: see `run_uncancelled`.

A saga interrupts a task in the same way: when the saga's time is up, when an operator requests compensation,
and when a parallel branch fails and the other branches are to be cancelled.
"""

import asyncio
from collections.abc import Awaitable, Coroutine, Generator
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

from temporalio import workflow

from .._core.lifecycle import Lifecycle

T = TypeVar("T")


class CancellationShield:
    """Passes a cancel on to the body of a task, or absorbs the cancel.

    Args:
        lifecycle: The lifecycle that decides about absorption: the saga's for the main task; None for the
            task of a parallel branch, because a cancel of the workflow does not reach the branch.
    """

    def __init__(self, lifecycle: Lifecycle | None = None) -> None:
        self._lifecycle = lifecycle
        self.was_interrupted = False
        self._has_seen_cancel = False
        self._is_interrupting = False
        self._task: asyncio.Task[Any] | None = None

    @property
    def is_blocking(self) -> bool:
        """Whether cancels are absorbed now."""
        return self._lifecycle is not None and self._lifecycle.blocks_cancel

    def interrupt(self) -> None:
        """Cancels the future on which the body waits; a body with blocked cancels checks afterwards."""
        is_first, self.was_interrupted = not self.was_interrupted, True
        if is_first and not self.is_blocking and self._task is not None and not self._task.done():
            self._is_interrupting = True
            self._task.cancel()

    def protect(self, body: Coroutine[Any, Any, T]) -> Awaitable[T]:
        """Runs `body` in the task that awaits the result, with the shield in between."""
        return _ShieldedBody(self, body)

    def bind_task(self) -> None:
        """Makes the current task the protected task of the shield."""
        self._task = asyncio.current_task()
        self.make_current()

    def make_current(self) -> None:
        """Makes this shield current in the current task, and in tasks created by the current task."""
        _current.set(self)

    def absorbs_cancel(self) -> bool:
        """Whether the cancellation that has just arrived is a cancel or an interruption to absorb.

        A workflow is cancelled at most once in a run. A cancellation without a cancel of the workflow, or
        after the cancel, is the eviction of the workflow from the worker's cache or a timeout of the
        workflow's code, and always passes.
        """
        task = asyncio.current_task()
        assert task is not None
        was_interrupted, self._is_interrupting = self._is_interrupting, False
        if was_interrupted:
            task.uncancel()
        was_cancelled = task.cancelling() > 0 and workflow.cancellation_reason() is not None
        is_cancel = self._lifecycle is not None and was_cancelled and not self._has_seen_cancel
        self._has_seen_cancel = self._has_seen_cancel or is_cancel
        # A remaining cancel request was swallowed by an activity, or belongs to a timeout that expired at the
        # same moment. The cancellation that has just arrived is then an eviction, or belongs to the timeout.
        if is_cancel:
            return self.is_blocking and task.uncancel() == 0
        return was_interrupted and self.is_blocking and task.cancelling() == 0


async def run_uncancelled(body: Coroutine[Any, Any, T]) -> T:
    """Runs `body` in a separate task; the end of the wait for the task does not end `body`.

    The wait ends early by a cancel where no shield protects the calling task, and by a timeout of the calling
    code. A caller that may be cancelled checks for a cancel afterwards.
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


_current: ContextVar[CancellationShield] = ContextVar("saga-shield")


def current_shield() -> CancellationShield:
    """Returns the shield of the current task, or of the task that created the current task."""
    return _current.get()


class _ShieldedBody(Generic[T]):
    """Drives a coroutine: passes futures to the task, and decides which exceptions reach the body."""

    def __init__(self, shield: CancellationShield, body: Coroutine[Any, Any, T]) -> None:
        self._shield = shield
        self._body = body

    def __await__(self) -> Generator[Any, Any, T]:
        self._shield.bind_task()
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
        """Waits for `future`; returns the exception of the task for the body, or None."""
        while True:
            try:
                if future is None or not self._shield.is_blocking:
                    yield future
                else:
                    yield from _stand_in(future)
            except asyncio.CancelledError as cancelled:
                if not self._shield.absorbs_cancel():
                    return cancelled
                if future is not None and not future.done():
                    continue
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001 - a failed future, or a future that is being evicted
                return error
            return None


def _stand_in(future: asyncio.Future[Any]) -> Generator[Any, Any, None]:
    """Waits until `future` is done; a cancel of the wait does not cancel the future."""
    # The coroutine has just announced a wait for `future`; the task must wait for the stand-in instead.
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
