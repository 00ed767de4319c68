"""The worker process: polls a task queue until a signal, then shuts down gracefully."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import timedelta

import temporalio.service
from temporalio.client import Client
from temporalio.worker import Worker, WorkerConfig

from .._errors import UnreachableServerError
from .._polling import poll_until
from .._search_attributes import require_search_attributes
from .stop_signals import stop_signals, wait_for_stop
from .temporalio_version import check_temporalio

CANCELLATION_TIMEOUT = timedelta(seconds=5)
"""How long activities may take to end after their cancellation, at the end of the graceful shutdown."""

logger = logging.getLogger(__name__)


async def run_worker(
    client: Client,
    *,
    task_queue: str,
    workflows: Sequence[type] = (),
    activities: Sequence[Callable[..., object]] = (),
    graceful_shutdown_timeout: timedelta = timedelta(seconds=10),
    options: WorkerConfig | None = None,
) -> None:
    """Runs a worker until SIGTERM or SIGINT, and returns after the shutdown; prints a line when polling.

    During the shutdown the worker takes no new task; running activities may finish within
    `graceful_shutdown_timeout` and are then cancelled. The next worker retries the cancelled activities. An
    activity that ignores its cancellation delays the end of the process; a second signal ends the process at
    once.

    Args:
        client: The client; its plugins apply to the worker too.
        task_queue: The task queue to poll.
        workflows: Workflow classes.
        activities: Functions decorated with `activity.defn`.
        graceful_shutdown_timeout: How long running activities may take to finish.
        options: Further options of `temporalio.worker.Worker`.

    Raises:
        ConfigurationError: The installed temporalio breaks sagas, or the namespace lacks a search attribute
            that sagas write.
        UnreachableServerError: The namespace does not exist, or the client may not poll the namespace.
    """
    check_temporalio(temporalio.service.__version__)
    await require_search_attributes(client)
    config: WorkerConfig = {
        **(options or WorkerConfig()),
        "client": client,
        "task_queue": task_queue,
        "workflows": workflows,
        "activities": activities,
        "graceful_shutdown_timeout": graceful_shutdown_timeout,
    }
    await _run_until_stopped(Worker(**config), client, graceful_shutdown_timeout + CANCELLATION_TIMEOUT)


async def _run_until_stopped(worker: Worker, client: Client, shutdown_timeout: timedelta) -> None:
    with stop_signals() as stop:
        running = asyncio.create_task(_run(worker, client))
        try:
            await _wait_until_polling(worker, running)
            where = f"namespace {client.namespace!r} at {client.service_client.config.target_host}"
            print(f"worker polls task queue {worker.task_queue!r} of {where}", flush=True)
            await wait_for_stop(stop, running)
            await _shut_down(worker, running, shutdown_timeout)
        finally:
            running.cancel()


async def _run(worker: Worker, client: Client) -> None:
    try:
        await worker.run()
    except RuntimeError as error:
        # temporalio has no error class for an unusable namespace.
        if "validation failed" not in str(error):
            raise
        raise UnreachableServerError(
            client.service_client.config.target_host,
            f"does not let a worker poll namespace {client.namespace!r} ({error})",
            "create the namespace, or set TEMPORAL_NAMESPACE to an existing namespace",
        ) from error


async def _wait_until_polling(worker: Worker, running: asyncio.Task[None]) -> None:
    # Polled, because temporalio announces the state by no event.
    await poll_until(lambda: worker.is_running or running.done())
    if running.done():
        await running


async def _shut_down(worker: Worker, running: asyncio.Task[None], timeout: timedelta) -> None:
    stopping = asyncio.create_task(worker.shutdown())
    await asyncio.wait({running}, timeout=timeout.total_seconds())
    stopping.cancel()
    if running.done():
        await running
    else:
        logger.warning("activities ignored their cancellation and are left to their timeouts")
