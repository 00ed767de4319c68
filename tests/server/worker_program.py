"""A worker process: `python -m tests.server.worker_program ADDRESS QUEUE SECONDS [NAMESPACE]`."""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy

from tests.waiting import until
from workers import run_main, run_worker


@activity.defn
async def finishes_when_released(file: str) -> str:
    """Reports the start of the shutdown, and ends when the file exists."""
    print("running", flush=True)
    await activity.wait_for_worker_shutdown()
    print("draining", flush=True)
    await until(Path(file).exists)
    return "finished"


@activity.defn
async def never_finishes(_: str) -> None:
    """Ends only by cancellation."""
    await asyncio.Event().wait()


@workflow.defn
class RunsOneActivity:
    """Runs the named activity on a file, once."""

    @workflow.run
    async def run(self, name: str, file: str) -> None:
        """Runs the activity."""
        await workflow.execute_activity(
            name,
            file,
            start_to_close_timeout=timedelta(minutes=1),
            retry_policy=RetryPolicy(maximum_attempts=1),
        )


async def main(address: str, task_queue: str, graceful_shutdown: str, namespace: str = "default") -> None:
    """Polls until a signal."""
    client = await Client.connect(address, namespace=namespace)
    await run_worker(
        client,
        task_queue=task_queue,
        workflows=[RunsOneActivity],
        activities=[finishes_when_released, never_finishes],
        graceful_shutdown_timeout=timedelta(seconds=float(graceful_shutdown)),
        options={"max_cached_workflows": 10},
    )


if __name__ == "__main__":
    run_main(main(*sys.argv[1:]))
