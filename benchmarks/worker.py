"""The worker of a variant as a process: `python -m benchmarks.worker sdk 127.0.0.1:7233 QUEUE`."""

import sys

from benchmarks.participants import activities
from benchmarks.variants import VARIANTS
from workers import run_main, run_worker


async def work(variant: str, address: str, task_queue: str) -> None:
    """Polls until the process is stopped."""
    chosen = VARIANTS[variant]
    client = await chosen.connect(address)
    await run_worker(client, task_queue=task_queue, workflows=chosen.workflows, activities=activities())


if __name__ == "__main__":
    run_main(work(*sys.argv[1:]))
