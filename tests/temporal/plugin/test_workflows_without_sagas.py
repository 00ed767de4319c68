"""The plugin changes nothing for workflows without a saga: old histories replay with the plugin."""

import asyncio
import typing
from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio import activity, workflow
from temporalio.client import Client, WorkflowFailureError
from temporalio.worker import Replayer, Worker

from sagas import SagaPlugin

TIMEOUT = timedelta(seconds=20)


@activity.defn
async def count(number: int) -> int:
    return number + 1


@activity.defn
async def fail(number: int) -> int:
    raise ValueError(number)


@workflow.defn
class Counting:
    @workflow.run
    async def run(self, number: int) -> int:
        await workflow.sleep(0.01)
        return await workflow.execute_activity(count, number, start_to_close_timeout=TIMEOUT)


@workflow.defn
class Everyday:
    """An ordinary workflow: signals, timers, tasks, timeouts, activities, and a child."""

    def __init__(self) -> None:
        self.signals = 0

    @workflow.signal
    def knock(self) -> None:
        """Counts a signal."""
        self.signals += 1

    @workflow.update
    async def ask(self, number: int) -> int:
        """Answers after an activity."""
        return await workflow.execute_activity(count, number, start_to_close_timeout=TIMEOUT)

    @workflow.run
    async def run(self, number: int) -> int:
        await workflow.wait_condition(lambda: self.signals > 0)
        both = await asyncio.gather(
            workflow.execute_activity(count, 1, start_to_close_timeout=TIMEOUT),
            workflow.execute_child_workflow(Counting.run, 2),
            workflow.sleep(0.02),
        )
        try:
            async with asyncio.timeout(0.01):
                await workflow.wait_condition(lambda: False)
        except TimeoutError:
            number += 1
        own = asyncio.ensure_future(workflow.sleep(3600))
        await asyncio.sleep(0)
        own.cancel()
        try:
            await own
        except asyncio.CancelledError:
            number += 1
        return number + both[0] + both[1] + await self._stubborn()

    async def _stubborn(self) -> int:
        try:
            await workflow.wait_condition(lambda: self.signals > 1)
        except asyncio.CancelledError:
            # The code cleans up after the cancel and returns.
            await workflow.sleep(0.01)
            return await workflow.execute_activity(count, 0, start_to_close_timeout=TIMEOUT)
        return 0


@pytest.mark.parametrize("end", ["signal", "cancel"])
async def test_history_from_before_the_plugin_replays_with_it(server: str, end: str) -> None:
    """A replay with the plugin gives the same commands."""
    client = await Client.connect(server)
    name = f"everyday-{uuid4().hex[:8]}"
    async with Worker(client, task_queue=name, workflows=[Everyday, Counting], activities=[count, fail]):
        handle = await client.start_workflow(Everyday.run, 0, id=name, task_queue=name)
        assert await handle.execute_update(Everyday.ask, 6) == 7
        await handle.signal(Everyday.knock)
        fired = 0
        async with asyncio.timeout(20):
            async for event in handle.fetch_history_events(wait_new_event=True):
                fired += event.HasField("timer_fired_event_attributes")
                if fired == 2 and event.HasField("workflow_task_completed_event_attributes"):
                    break
        await (handle.signal(Everyday.knock) if end == "signal" else handle.cancel())
        try:
            async with asyncio.timeout(20):
                result = await handle.result()
        except WorkflowFailureError:
            result = -1
        history = await handle.fetch_history()

    assert result == {"signal": 7, "cancel": 8}[end]
    await Replayer(workflows=[Everyday, Counting], plugins=[SagaPlugin()]).replay_workflow(history)


class Group(typing.TypedDict):
    names: list[str]


@activity.defn
async def greet(group: Group) -> Group:
    return {"names": [f"dear {name}" for name in group["names"]]}


@workflow.defn
class Welcome:
    """A workflow with types that pydantic does not read as Temporal does."""

    def __init__(self) -> None:
        self.is_open = False

    @workflow.signal
    def open(self) -> None:
        """Lets the workflow go on."""
        self.is_open = True

    @workflow.run
    async def run(self, group: Group, greetings: Iterable[str]) -> list[str]:
        first = await workflow.execute_activity(greet, group, start_to_close_timeout=TIMEOUT)
        count = len(list(greetings))
        await workflow.wait_condition(lambda: self.is_open)
        return [*first["names"], *(greetings if count == len(list(greetings)) else [])]


async def test_a_workflow_half_way_goes_on_with_the_plugin(server: str) -> None:
    """The input is read as by Temporal, where pydantic has no schema or reads an iterator."""
    name = f"welcome-{uuid4().hex[:8]}"
    plain, with_plugin = await Client.connect(server), await Client.connect(server, plugins=[SagaPlugin()])
    options: Any = {
        "task_queue": name,
        "workflows": [Welcome],
        "activities": [greet],
        "max_cached_workflows": 0,
    }
    started = await plain.start_workflow(
        Welcome.run, args=[{"names": ["Ada"]}, ["hello", "bye"]], id=name, task_queue=name
    )
    async with Worker(plain, **options), asyncio.timeout(20):
        async for event in started.fetch_history_events(wait_new_event=True):
            if event.event_id > 9 and event.HasField("workflow_task_completed_event_attributes"):
                break
    await started.signal(Welcome.open)
    async with Worker(with_plugin, **options), asyncio.timeout(20):
        assert await started.result() == ["dear Ada", "hello", "bye"]

    history = await started.fetch_history()
    await Replayer(workflows=[Welcome], plugins=[SagaPlugin()]).replay_workflow(history)
