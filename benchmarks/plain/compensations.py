"""What a team that writes its sagas by hand writes once: calls with a policy, and a list of compensations."""

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
    """What must be made up for when a later step fails; each is added before its action starts."""

    def __init__(self) -> None:
        self._owed: list[tuple[Operation[Any, Any], object]] = []

    def add(self, compensation: Operation[MessageT, object], message: MessageT) -> None:
        """Owes one more."""
        self._owed.append((compensation, message))

    async def run(self) -> None:
        """Makes up for everything, newest first, although the workflow is cancelled meanwhile."""
        await uncancelled(self._run())

    async def _run(self) -> None:
        for compensation, message in reversed(self._owed):
            await call(compensation, message, retry=UNTIL_DONE)


async def call(
    operation: Operation[MessageT, ResultT], message: MessageT, *, retry: RetryPolicy = FIVE_TIMES
) -> ResultT:
    """Asks a participant, and returns its answer."""
    answer: ResultT = await workflow.execute_activity(
        operation.name,
        message,
        result_type=operation.result,
        start_to_close_timeout=TIMEOUT,
        retry_policy=retry,
        cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    )
    return answer


async def uncancelled(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Finishes `work` although the workflow is cancelled meanwhile, which happens at most once."""
    task = asyncio.create_task(work)
    with suppress(asyncio.CancelledError):
        return await asyncio.shield(task)
    return await task
