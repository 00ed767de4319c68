"""The event group of a step holds action, probe and compensation, and does not affect replay."""

from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio import activity, workflow
from temporalio.client import Client, WorkflowFailureError, WorkflowHistory
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.worker import Replayer, Worker

from sagas import ActivityOptions, ProbeResult, Saga, SagaPlugin, action

ONCE = ActivityOptions(
    start_to_close_timeout=timedelta(seconds=20), retry_policy=RetryPolicy(maximum_attempts=1)
)


@activity.defn
async def lend_book(title: str) -> str:
    return f"a copy of {title}"


@activity.defn
async def take_book_back(title: str) -> None:
    """Puts the book back on the shelf."""


@activity.defn
async def send_book(title: str) -> str:
    raise ApplicationError("no answer", non_retryable=True)


@activity.defn
async def ask_for_parcel(title: str) -> ProbeResult[str]:
    return ProbeResult(outcome="unknown")


@activity.defn
async def call_book_back(title: str) -> None:
    """Calls the parcel back."""


ACTIVITIES = [lend_book, take_book_back, send_book, ask_for_parcel, call_book_back]
lend = action(lend_book, options=ONCE).compensated_by(take_book_back, options=ONCE)
send = action(send_book, options=ONCE, probe=ask_for_parcel).compensated_by(call_book_back, options=ONCE)


@workflow.defn
class LibrarySaga:
    @workflow.run
    async def run(self, title: str) -> str:
        async with Saga() as saga:
            await saga.step(lend, title)
            return await saga.step(send, title)


async def history_of_a_compensated_saga(client: Client) -> WorkflowHistory:
    """The history of a done step and a step of unknown outcome, both compensated."""
    name = f"library-{uuid4().hex[:8]}"
    async with Worker(client, task_queue=name, workflows=[LibrarySaga], activities=ACTIVITIES):
        handle = await client.start_workflow(LibrarySaga.run, "Momo", id=name, task_queue=name)
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    return await handle.fetch_history()


def groups_in(history: WorkflowHistory) -> list[tuple[str, list[str]]]:
    """Every activity with the ids of the event groups."""
    return [
        (scheduled.activity_id, [marker.label.id for marker in event.event_group_markers])
        for event in history.events
        if (scheduled := event.activity_task_scheduled_event_attributes).activity_id
    ]


async def replay(history: WorkflowHistory) -> None:
    await Replayer(workflows=[LibrarySaga], plugins=[SagaPlugin()]).replay_workflow(history)


async def test_action_probe_and_compensation_of_a_step_share_a_group(client: Client) -> None:
    """A timeline can show all activities of a step in the same row."""
    history = await history_of_a_compensated_saga(client)

    assert groups_in(history) == [
        ("lend-book", ["step:lend-book"]),
        ("send-book", ["step:send-book"]),
        ("probe.send-book", ["step:send-book"]),
        ("compensate.send-book", ["step:send-book"]),
        ("compensate.lend-book", ["step:lend-book"]),
    ]
    await replay(history)


async def test_ungrouped_history_replays_with_groups(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A history from an SDK without event groups stays replayable."""
    with monkeypatch.context() as older_sdk:
        older_sdk.delattr(workflow, "create_event_group")
        history = await history_of_a_compensated_saga(client)

    assert [groups for _, groups in groups_in(history)] == [[]] * 5
    await replay(history)


async def test_grouped_history_replays_without_groups(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The history stays replayable with an SDK without the experimental API."""
    history = await history_of_a_compensated_saga(client)

    monkeypatch.delattr(workflow, "create_event_group")
    await replay(history)
