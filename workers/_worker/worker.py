"""A worker process: polls one task queue until it is told to stop, and then drains."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import temporalio.service
from temporalio.client import Client
from temporalio.worker import Worker, WorkerConfig

from .._errors import UnreachableServerError
from .._search_attributes import require_search_attributes
from .stop_signals import stop_signals, wait_for_stop
from .temporalio_version import check_temporalio

POLL = 0.02
LEAVE = timedelta(seconds=5)
"""How long activities may take to notice that they are cancelled, once the graceful time is over."""

logger = logging.getLogger(__name__)


async def run_worker(
    client: Client,
    *,
    task_queue: str,
    workflows: Sequence[type] = (),
    activities: Sequence[Callable[..., Any]] = (),
    graceful_shutdown: timedelta = timedelta(seconds=10),
    options: WorkerConfig | None = None,
) -> None:
    """Runs a worker until SIGTERM or SIGINT, and returns when it has drained; prints one line when it polls.

    Draining: no new task is taken; running activities may finish within `graceful_shutdown`, and are then
    cancelled. What is cut off is tried again by the next worker. An activity that does not heed that it is
    cancelled keeps the process until it returns; a second signal ends it at once.

    Args:
        client: The connection, whose plugins apply to the worker too.
        task_queue: What it polls.
        workflows: Workflow classes.
        activities: Functions decorated with `activity.defn`.
        graceful_shutdown: How long running activities may take to finish.
        options: Anything else that `temporalio.worker.Worker` takes.

    Raises:
        ConfigurationError: The installed temporalio is known to break sagas, or sagas would write a search
            attribute that the namespace does not know.
        UnreachableServerError: The namespace does not exist, or may not be polled.
    """
    check_temporalio(temporalio.service.__version__)
    await require_search_attributes(client)
    config: WorkerConfig = {
        **(options or WorkerConfig()),
        "client": client,
        "task_queue": task_queue,
        "workflows": workflows,
        "activities": activities,
        "graceful_shutdown_timeout": graceful_shutdown,
    }
    worker = Worker(**config)
    with stop_signals() as stop:
        running = asyncio.create_task(_run(worker, client))
        try:
            await _until_polling(worker, running)
            where = f"namespace {client.namespace!r} at {client.service_client.config.target_host}"
            print(f"worker polls task queue {task_queue!r} of {where}", flush=True)
            await wait_for_stop(stop, running)
            await _drain(worker, running, graceful_shutdown + LEAVE)
        finally:
            running.cancel()


async def _run(worker: Worker, client: Client) -> None:
    try:
        await worker.run()
    except RuntimeError as error:
        # The SDK has no error class for a namespace that it cannot use.
        if "validation failed" not in str(error):
            raise
        raise UnreachableServerError(
            client.service_client.config.target_host,
            f"does not let a worker poll namespace {client.namespace!r} ({error})",
            "create the namespace, or set TEMPORAL_NAMESPACE to another one",
        ) from error


async def _until_polling(worker: Worker, running: asyncio.Task[None]) -> None:
    # Asking again and again, as the SDK gives no event for it.
    while not worker.is_running and not running.done():  # noqa: ASYNC110
        await asyncio.sleep(POLL)
    if running.done():
        await running


async def _drain(worker: Worker, running: asyncio.Task[None], within: timedelta) -> None:
    stopping = asyncio.create_task(worker.shutdown())
    await asyncio.wait({running}, timeout=within.total_seconds())
    stopping.cancel()
    if running.done():
        await running
    else:
        logger.warning("activities ignored that they were cancelled; they are left to their timeouts")
