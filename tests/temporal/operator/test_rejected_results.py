"""`rejected_when`: a result that means *rejected* rejects the step, also for readers of the history."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from pydantic import BaseModel
from temporalio import activity, workflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHandle
from temporalio.converter import DataConverter
from temporalio.worker import Replayer, Worker

from sagas import Compensated, RejectedError, Saga, SagaHandle, SagaPlugin, action, execute_saga, start_saga
from sagas._core.outcome import Outcome
from sagas._history.ledger_rebuild import RecoveryDirection, rebuild_saga
from sagas._history.parser import read_history
from sagas.operator import SagaClient

calls: list[str] = []


class Answer(BaseModel):
    accepted: bool
    code: str = ""


@activity.defn
async def book(room: str) -> Answer:
    calls.append(f"book {room}")
    return Answer(accepted=room != "full", code="sold_out" if room == "sold out" else "")


@activity.defn
async def cancel(room: str, answer: Answer | None) -> None:
    calls.append(f"cancel {room}")


def is_refused(answer: Answer) -> bool:
    return not answer.accepted


def code_of(answer: Answer) -> str | None:
    return answer.code or None


by_flag = action(book, name="book-by-flag", rejected_when=is_refused).compensated_by(cancel)
by_code = action(book, name="book-by-code", rejected_when=code_of).compensated_by(cancel)
pivot = action(book, name="pay", rejected_when=is_refused)


@workflow.defn
class RoomSaga:
    """Books rooms; goes on after a refusal if the plan has `catch`, and then waits for a signal."""

    def __init__(self) -> None:
        self.is_open = False

    @workflow.signal
    def go_on(self) -> None:
        """Lets the saga go on."""
        self.is_open = True

    @workflow.run
    async def run(self, plan: dict[str, str]) -> str:
        async with Saga() as saga:
            await saga.step(by_flag, "first")
            if "pivot" in plan:
                await saga.pivot(pivot, plan["pivot"])
            try:
                await saga.step(by_flag if "flag" in plan else by_code, plan.get("flag") or plan["code"])
            except RejectedError as error:
                if "catch" not in plan:
                    raise
                await workflow.wait_condition(lambda: self.is_open)
                return error.code
        return "done"


@asynccontextmanager
async def running(server: str) -> AsyncIterator[tuple[Client, str]]:
    client = await Client.connect(server, plugins=[SagaPlugin()])
    queue = f"rooms-{uuid4().hex[:8]}"
    calls.clear()
    async with Worker(
        client, task_queue=queue, workflows=[RoomSaga], activities=[book, cancel], max_cached_workflows=0
    ):
        yield client, queue


async def replay(client: Client, saga_id: str) -> None:
    history = await client.get_workflow_handle(saga_id).fetch_history()
    await Replayer(workflows=[RoomSaga], plugins=[SagaPlugin()]).replay_workflow(history)


@pytest.mark.parametrize(
    ("plan", "code"),
    [
        ({"flag": "full"}, "rejected"),
        ({"code": "sold out"}, "sold_out"),
        ({"pivot": "full", "code": "x"}, "rejected"),
    ],
)
async def test_a_result_rejects_the_step(server: str, plan: dict[str, str], code: str) -> None:
    """The saga compensates the other steps, and not the rejected step."""
    async with running(server) as (client, queue):
        saga_id = f"rooms-{uuid4().hex[:8]}"
        outcome = await execute_saga(client, RoomSaga.run, plan, id=saga_id, task_queue=queue)
        await replay(client, saga_id)

    assert isinstance(outcome, Compensated)
    assert outcome.code == code
    assert "means" in outcome.reason
    assert [call for call in calls if call.startswith("cancel")] == ["cancel first"]


async def test_a_done_result_adds_no_event(server: str) -> None:
    """Only a rejection is recorded."""
    async with running(server) as (client, queue):
        saga_id = f"rooms-{uuid4().hex[:8]}"
        await execute_saga(client, RoomSaga.run, {"flag": "free"}, id=saga_id, task_queue=queue)
        history = await client.get_workflow_handle(saga_id).fetch_history()

    kinds = {event.event_type for event in history.events}
    assert EventType.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED not in kinds


async def test_a_rescue_does_not_compensate_a_step_that_was_rejected_by_its_result(server: str) -> None:
    """Preview and rescue read the memo, without the code of the saga."""
    async with running(server) as (client, queue):
        saga_id = f"rooms-{uuid4().hex[:8]}"
        plan = {"flag": "full", "catch": "yes"}
        handle = await start_saga(client, RoomSaga.run, plan, id=saga_id, task_queue=queue)
        await until_rejected(handle)
        sagas = SagaClient(client)
        preview = await sagas.preview(saga_id)
        await handle.terminate()
        await sagas.rescue(saga_id, by="ada", because="terminated")
        outcome = await SagaHandle.for_id(client, saga_id, RoomSaga.run).outcome()

    assert [each.address for each in preview.compensations] == ["book-by-flag"]
    assert isinstance(outcome, Compensated)
    assert calls == ["book first", "book full", "cancel first"]


async def until_rejected(handle: WorkflowHandle[Any, Any]) -> None:
    """Waits until the history has the record of the rejection."""
    async for event in handle.fetch_history_events(wait_new_event=True):
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED:
            return


async def test_a_result_is_unknown_until_the_workflow_has_judged(server: str) -> None:
    """A history that ends between the result and the next workflow task."""
    async with running(server) as (client, queue):
        saga_id = f"rooms-{uuid4().hex[:8]}"
        await execute_saga(client, RoomSaga.run, {"pivot": "free", "code": "x"}, id=saga_id, task_queue=queue)
        history = await client.get_workflow_handle(saga_id).fetch_history()

    found: list[tuple[Outcome, RecoveryDirection]] = []
    for length, event in enumerate(history.events, 1):
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            for end in (length, _end_of_next_task(history.events, length)):
                rebuilt = rebuild_saga(read_history(saga_id, history.events[:end], DataConverter.default))
                last = list(rebuilt.ledger.entries.values())[-1]
                found.append((last.outcome, rebuilt.direction))

    assert found[:4] == [
        (Outcome.UNKNOWN, RecoveryDirection.BACKWARD),
        (Outcome.DONE, RecoveryDirection.BACKWARD),
        (Outcome.UNKNOWN, RecoveryDirection.FORWARD),
        (Outcome.DONE, RecoveryDirection.FORWARD),
    ]


def _end_of_next_task(events: Any, start: int) -> int:
    kinds = [event.event_type for event in events]
    return int(kinds.index(EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, start)) + 1
