"""The worker of the order saga, which brings each of its sagas to a point of its own, and holds it there.

It is told in a file which saga is to be held where; what it has reached, it notes in the folder of that
file, by the name of the saga. It goes on when there is a file `go-on`, or is killed.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from temporalio import activity
from temporalio.client import Client

from activities import HttpParticipant
from examples.order.saga import OrderSaga
from examples.payment.saga import PaymentSaga
from examples.worker import OPERATIONS
from sagas import SagaPlugin
from tests.waiting import until
from workers import connect, load_settings, run_main

from .histories import CHILD_STARTED, COMPLETED
from .moments import Passes
from .turnstile import DEEPER, TaskHold, Turnstile, worker_behind

CONNECTIONS = 8
GENERATIONS = 2


def held(
    call: Callable[..., object], saga: dict[str, Any], folder: Path, go_on: asyncio.Event, client: Client
) -> Any:
    """The same activity; one call of it is held, before or after its participant is asked."""
    name = activity._Definition.must_from_callable(call).name
    inner: Callable[[object], Awaitable[object]] = call  # type: ignore[assignment]

    async def wrapped(message: Any) -> Any:
        info = activity.info()
        if info.workflow_id and "/" in info.workflow_id:
            await until_parent_rests(client, info.workflow_id)
        is_here = [info.workflow_id, info.activity_id, info.attempt] == [*saga["held"], 1]
        if is_here and not saga["is_answered"]:
            (folder / saga["id"]).touch()
            await go_on.wait()
        answer: object
        error: Exception | None = None
        try:
            answer = await inner(message)
        except Exception as refusal:  # noqa: BLE001 - whatever it is, it is the answer
            answer, error = None, refusal
        if is_here and saga["is_answered"]:
            (folder / saga["id"]).touch()
            await go_on.wait()
        if error:
            raise error
        return answer

    wrapped.__annotations__ = call.__annotations__
    return activity.defn(name=name)(wrapped)


async def until_parent_rests(client: Client, child_id: str) -> None:
    """Waits until a saga has heard that its child has started: a quicker child would change its history."""
    parent = client.get_workflow_handle(child_id.rpartition("/")[0])
    has_started = False
    async for event in parent.fetch_history_events(wait_new_event=True):
        has_started |= event.event_type == CHILD_STARTED
        if has_started and event.event_type == COMPLETED:
            return


async def main(sagas: list[dict[str, Any]], folder: Path, urls: dict[str, str]) -> None:
    go_on = asyncio.Event()
    clients = [await connect(load_settings(), plugins=[SagaPlugin()]) for _ in range(CONNECTIONS)]
    doors: list[Turnstile] = []
    holds: list[TaskHold] = []
    async with AsyncExitStack() as stack:
        participants = [
            await stack.enter_async_context(HttpParticipant(name, url)) for name, url in urls.items()
        ]
        calls = [call for each in participants for call in each.activities(OPERATIONS)]
        for number, saga in enumerate(sagas):
            hold = TaskHold(*saga["task"]) if saga["task"] else None
            holds += [hold] if hold else []
            for depth in range(GENERATIONS):
                passes = Passes(*saga["passes"]) if saga["passes"] else None
                is_closed = passes is not None and passes.depth == depth
                door = Turnstile(passes.fresh, passes.sticky) if passes and is_closed else Turnstile()
                doors.append(door)
                worker = worker_behind(
                    door,
                    Turnstile(),
                    client=clients[number % CONNECTIONS],
                    task_queue=saga["id"] + DEEPER * depth,
                    workflows=[OrderSaga, PaymentSaga],
                    calls=[held(call, saga, folder, go_on, clients[number % CONNECTIONS]) for call in calls],
                    hold=hold,
                    cache=1000,
                )
                await stack.enter_async_context(worker)
        await until((folder / "go-on").exists, within=600)
        go_on.set()
        for door in doors:
            door.open()
        for hold in holds:
            hold.opened.set()
        await asyncio.Event().wait()


if __name__ == "__main__":
    _, plan_file, *services = sys.argv
    plan = Path(plan_file)
    run_main(main(json.loads(plan.read_text()), plan.parent, dict(each.split("=", 1) for each in services)))
