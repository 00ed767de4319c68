"""The worker of the order saga, which brings each of its sagas to a point of its own, and holds it there.

It is told in a file which saga is to be held where. What comes of that, it notes in the folder of that file:
`ready` when it polls, and by the name of the saga `.held` when an activity of it is held, and `.asked` when
the participant of that activity has been asked. A saga goes on when there is a note `.go-on` of its name.
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
from examples.payment.saga import PaymentSaga
from examples.worker import OPERATIONS
from sagas import SagaPlugin
from tests.waiting import until
from workers import connect, load_settings, run_main

from ..interruption_points import AdmittedTasks
from ..saga_histories import CHILD_STARTED, COMPLETED
from ..stepped_worker import DEEPER, LONGEST_HOLD, STICKY, PausedTask, TaskGate, gated_worker
from .order_with_run_timeout import OrderSagaWithRunTimeout

CONNECTIONS = 8
GENERATIONS = 2


class PausedSaga:
    """A saga that is held at one point, until it may go on.

    Args:
        plan: Where it is held, as the test has written it.
        folder: Where the notes are.
    """

    def __init__(self, plan: dict[str, Any], folder: Path) -> None:
        self.id: str = plan["id"]
        self._plan, self._folder = plan, folder
        self._go_on = asyncio.Event()
        self._hold = PausedTask(*plan["task"]) if plan["task"] else None
        self._passes = AdmittedTasks(*plan["passes"]) if plan["passes"] else None
        self._doors: list[TaskGate] = []

    def workers(self, client: Client, calls: list[Callable[..., object]]) -> list[Worker]:
        """A worker for the saga itself, and one for its children."""
        return [self._worker(depth, client, calls) for depth in range(GENERATIONS)]

    def go_on_if_told(self) -> bool:
        """Lets it go on from its point, if there is a note that says so."""
        if not self._go_on.is_set() and self._note("go-on").exists():
            self._go_on.set()
            for door in self._doors:
                door.open()
            if self._hold:
                self._hold.released.set()
        return self._go_on.is_set()

    def _worker(self, depth: int, client: Client, calls: list[Callable[..., object]]) -> Worker:
        door = TaskGate()
        if self._passes and self._passes.depth == depth:
            door = TaskGate(self._passes.fresh, self._passes.sticky)
        self._doors.append(door)
        has_limit = self._plan["has_time_limit"]
        return gated_worker(
            door,
            TaskGate(),
            client=client,
            task_queue=self.id + DEEPER * depth,
            workflows=[OrderSagaWithRunTimeout if has_limit else OrderSaga, PaymentSaga],
            calls=[self._held(call, client) for call in calls],
            hold=self._hold,
            cache=1000,
            # Nothing but the limit ends what is held.
            patient=self._plan["held"][1] if has_limit and self._plan["held"] else None,
            sticky=LONGEST_HOLD if has_limit else STICKY,
        )

    def _held(self, call: Callable[..., object], client: Client) -> Any:
        """The same activity; the first call of one is held, before or after its participant is asked."""
        name = activity._Definition.must_from_callable(call).name
        inner: Callable[[object], Awaitable[object]] = call  # type: ignore[assignment]

        async def wrapped(message: Any) -> Any:
            if (workflow_id := activity.info().workflow_id) and "/" in workflow_id:
                await until_parent_rests(client, workflow_id)
            if not self._is_here():
                return await inner(message)
            if not self._plan["is_answered"]:
                await self._wait()
            try:
                return await inner(message)
            finally:
                self._note("asked").touch()
                if self._plan["is_answered"]:
                    await self._wait()

        wrapped.__annotations__ = call.__annotations__
        return activity.defn(name=name)(wrapped)

    def _is_here(self) -> bool:
        info = activity.info()
        is_named = [info.workflow_id, info.activity_id] == self._plan["held"]
        # Only once: it is tried again after a death, and a saga that was reset does it anew.
        return is_named and not self._note("held").exists()

    async def _wait(self) -> None:
        self._note("held").touch()
        while not self._go_on.is_set():
            # One that is cut off does not hear that it is late: that is what makes it late.
            with suppress(asyncio.CancelledError):
                await self._go_on.wait()

    def _note(self, what: str) -> Path:
        return self._folder / f"{self.id}.{what}"


async def until_parent_rests(client: Client, child_id: str) -> None:
    """Waits until a saga has heard that its child has started: a quicker child would change its history."""
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
        await until(lambda: sum(saga.go_on_if_told() for saga in sagas) == len(sagas), within=600)
        await asyncio.Event().wait()


if __name__ == "__main__":
    _, plan_file, *services = sys.argv
    plan = Path(plan_file)
    run_main(main(json.loads(plan.read_text()), plan.parent, dict(each.split("=", 1) for each in services)))
