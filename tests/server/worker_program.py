"""A worker as a process of its own: `python -m tests.server.worker_program ADDRESS TASK_QUEUE`."""

import asyncio
import sys
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy

from workers import run_main, run_worker


@activity.defn
async def finishes_on_shutdown() -> str:
    """Ends by itself as soon as the worker begins to stop."""
    await activity.wait_for_worker_shutdown()
    return "finished"


@activity.defn
async def never_finishes() -> None:
    """Ends only by being cancelled."""
    await asyncio.Event().wait()


@workflow.defn
class RunsOneActivity:
    """Runs the activity of that name, once."""

    @workflow.run
    async def run(self, name: str) -> None:
        """Runs it."""
        await workflow.execute_activity(
            name,
            start_to_close_timeout=timedelta(minutes=1),
            retry_policy=RetryPolicy(maximum_attempts=1),
        )


async def main(address: str, task_queue: str, namespace: str = "default") -> None:
    """Polls until it is told to stop."""
    client = await Client.connect(address, namespace=namespace)
    await run_worker(
        client,
        task_queue=task_queue,
        workflows=[RunsOneActivity],
        activities=[finishes_on_shutdown, never_finishes],
        graceful_shutdown=timedelta(seconds=1),
        options={"max_cached_workflows": 10},
    )


if __name__ == "__main__":
    run_main(main(*sys.argv[1:]))
