"""A worker process for order sagas, which pauses each saga at an interruption point of its own.

A plan file names the sagas and their points. The worker writes marker files beside the plan file: `ready`
when the worker polls, `SAGA.paused` when an activity of the saga is paused, and `SAGA.requested` when the
participant of that activity has received the request. A saga continues when `SAGA.release` exists.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker

from activities import HttpParticipant
from examples.order.saga import OrderSaga
from examples.order.worker import OPERATIONS
from examples.payment.saga import PaymentSaga
from sagas import SagaPlugin
from tests.waiting import until
from workers import connect, load_settings, run_main

from ..interruption_points import AdmittedTasks
from ..saga_histories import CHILD_STARTED, COMPLETED
from ..stepped_worker import CHILD_QUEUE_SUFFIX, LONGEST_PAUSE, STICKY, GatedWorker, PausedTask, TaskGate
from .order_with_run_timeout import OrderSagaWithRunTimeout

CONNECTIONS = 8
GENERATIONS = 2


class PausedSaga:
    """A saga that pauses at one interruption point until the saga is released.

    Args:
        plan: The entry of the saga in the plan file.
        folder: The folder of the marker files.
    """

    def __init__(self, plan: dict[str, Any], folder: Path) -> None:
        self.id: str = plan["id"]
        self._plan, self._folder = plan, folder
        self._released = asyncio.Event()
        self._paused_task = PausedTask(*plan["task"]) if plan["task"] else None
        self._admitted = AdmittedTasks(*plan["admitted"]) if plan["admitted"] else None
        self._gates: list[TaskGate] = []

    def workers(self, client: Client, calls: list[Callable[..., object]]) -> list[Worker]:
        """A worker for the saga itself, and a worker for child sagas."""
        return [self._worker(depth, client, calls) for depth in range(GENERATIONS)]

    def release_if_requested(self) -> bool:
        """Releases the saga if the marker file exists; returns whether the saga is released."""
        if not self._released.is_set() and self._marker("release").exists():
            self._released.set()
            for latch in self._gates:
                latch.open()
            if self._paused_task:
                self._paused_task.released.set()
        return self._released.is_set()

    def _worker(self, depth: int, client: Client, calls: list[Callable[..., object]]) -> Worker:
        latch = TaskGate()
        if self._admitted and self._admitted.depth == depth:
            latch = TaskGate(self._admitted.fresh, self._admitted.sticky)
        self._gates.append(latch)
        has_run_timeout = self._plan["has_run_timeout"]
        return GatedWorker(
            tasks=latch,
            activities=TaskGate(),
            client=client,
            task_queue=self.id + CHILD_QUEUE_SUFFIX * depth,
            workflows=[OrderSagaWithRunTimeout if has_run_timeout else OrderSaga, PaymentSaga],
            calls=[self._pausing(call, client) for call in calls],
            paused=self._paused_task,
            cache=1000,
            # Only the run timeout of the saga ends the paused activity.
            patient_activity=self._plan["blocked"][1] if has_run_timeout and self._plan["blocked"] else None,
            sticky=LONGEST_PAUSE if has_run_timeout else STICKY,
        ).build()

    def _pausing(self, call: Callable[..., object], client: Client) -> Any:
        """Wraps an activity: the first call at the point pauses, before or after the request."""
        name = activity._Definition.must_from_callable(call).name
        inner: Callable[[object], Awaitable[object]] = call  # type: ignore[assignment]

        async def wrapped(message: Any) -> Any:
            if (workflow_id := activity.info().workflow_id) and "/" in workflow_id:
                await wait_until_parent_idle(client, workflow_id)
            if not self._is_at_point():
                return await inner(message)
            if not self._plan["is_reply_pending"]:
                await self._wait()
            try:
                return await inner(message)
            finally:
                self._marker("requested").touch()
                if self._plan["is_reply_pending"]:
                    await self._wait()

        wrapped.__annotations__ = call.__annotations__
        return activity.defn(name=name)(wrapped)

    def _is_at_point(self) -> bool:
        info = activity.info()
        is_blocked = [info.workflow_id, info.activity_id] == self._plan["blocked"]
        # Only once: after a kill and after a reset, the activity runs again without a pause.
        return is_blocked and not self._marker("paused").exists()

    async def _wait(self) -> None:
        self._marker("paused").touch()
        while not self._released.is_set():
            # An activity of a closed saga ignores the cancel, so that its request arrives late.
            with suppress(asyncio.CancelledError):
                await self._released.wait()

    def _marker(self, what: str) -> Path:
        return self._folder / f"{self.id}.{what}"


async def wait_until_parent_idle(client: Client, child_id: str) -> None:
    """Waits until a parent has processed the start of its child: a quicker child would change the history."""
    parent = client.get_workflow_handle(child_id.rpartition("/")[0])
    has_started = False
    async for event in parent.fetch_history_events(wait_new_event=True):
        has_started |= event.event_type == CHILD_STARTED
        if has_started and event.event_type == COMPLETED:
            return


async def main(plans: list[dict[str, Any]], folder: Path, urls: dict[str, str]) -> None:
    clients = [await connect(load_settings(), plugins=[SagaPlugin()]) for _ in range(CONNECTIONS)]
    sagas = [PausedSaga(plan, folder) for plan in plans]
    async with AsyncExitStack() as stack:
        participants = [
            await stack.enter_async_context(HttpParticipant(name, url)) for name, url in urls.items()
        ]
        calls = [call for each in participants for call in each.activities(OPERATIONS)]
        for number, saga in enumerate(sagas):
            for worker in saga.workers(clients[number % CONNECTIONS], calls):
                await stack.enter_async_context(worker)
        (folder / "ready").touch()
        await until(lambda: sum(saga.release_if_requested() for saga in sagas) == len(sagas), within=600)
        await asyncio.Event().wait()


if __name__ == "__main__":
    _, plan_file, *services = sys.argv
    plan = Path(plan_file)
    run_main(main(json.loads(plan.read_text()), plan.parent, dict(each.split("=", 1) for each in services)))
