"""The shared code of sagas on plain `temporalio`: activity calls, and a list of compensations."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy

from sagas import Operation

MessageT = TypeVar("MessageT")
ResultT = TypeVar("ResultT")

TIMEOUT = timedelta(seconds=10)
FIVE_TIMES = RetryPolicy(maximum_attempts=5, maximum_interval=timedelta(seconds=30))
THREE_TIMES = RetryPolicy(maximum_attempts=3, maximum_interval=timedelta(seconds=5))
UNTIL_DONE = RetryPolicy(maximum_interval=timedelta(seconds=30))


class Compensations:
    """The pending compensations of a saga; each is added before the start of the action."""

    def __init__(self) -> None:
        self._pending: list[tuple[Operation[Any, Any], object]] = []

    def add(self, compensation: Operation[MessageT, object], message: MessageT) -> None:
        """Adds a compensation."""
        self._pending.append((compensation, message))

    async def run(self) -> None:
        """Runs all compensations, newest first; a cancellation of the workflow does not interrupt them."""
        await shielded(self._run())

    async def _run(self) -> None:
        for compensation, message in reversed(self._pending):
            await call(compensation, message, retry=UNTIL_DONE)


async def call(
    operation: Operation[MessageT, ResultT], message: MessageT, *, retry: RetryPolicy = FIVE_TIMES
) -> ResultT:
    """Calls an operation as an activity, and returns the result."""
    answer: ResultT = await workflow.execute_activity(
        operation.name,
        message,
        result_type=operation.result,
        start_to_close_timeout=TIMEOUT,
        retry_policy=retry,
        cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    )
    return answer


async def shielded(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Finishes `work`; a cancellation of the workflow, at most one, does not interrupt the work."""
    task = asyncio.create_task(work)
    with suppress(asyncio.CancelledError):
        return await asyncio.shield(task)
    return await task
