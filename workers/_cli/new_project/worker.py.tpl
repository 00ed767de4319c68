"""The worker: runs the sagas and their steps until Ctrl-C or SIGTERM."""

import asyncio
import signal
from datetime import timedelta

from temporalio.worker import Worker

from .client import connect
from .saga import ACTIVITIES, TASK_QUEUE, OrderSaga


async def main() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Worker(
        await connect(),
        task_queue=TASK_QUEUE,
        workflows=[OrderSaga],
        activities=ACTIVITIES,
        graceful_shutdown_timeout=timedelta(seconds=10),
    ):
        print(f"Polling the task queue {TASK_QUEUE!r}. Press Ctrl-C to stop.")
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main())
