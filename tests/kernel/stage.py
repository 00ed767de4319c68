"""A worker of the agency on a real server, and the only ways in which a test waits."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowUpdateFailedError,
)
from temporalio.exceptions import ApplicationError
from temporalio.worker import Replayer, Worker

from sagas import RETRY, SAGA_STATUS, OperatorNote, SagaPlugin, start_saga

from .agency import Agency, CarelessChild, NumberlessSaga, Plan, TripSaga

PATIENCE = 40.0
"""Seconds after which something that was waited for counts as never happening."""

Handle = WorkflowHandle[Any, Any]
WORKFLOWS: list[type] = [TripSaga, NumberlessSaga, CarelessChild]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a workflow closed, and the saga status that it left behind."""

    closed: str
    saga: str | None
    code: str = ""
    result: object = None


@dataclass
class Stage:
    """Starts sagas, lets workers come and go, and knows every workflow that has run."""

    client: Client
    cache: int
    agency: Agency = field(default_factory=Agency)
    task_queue: str = field(default_factory=lambda: f"agency-{uuid4().hex[:8]}")
    workflows: list[type] = field(default_factory=lambda: list(WORKFLOWS))
    ids: list[str] = field(default_factory=list)
    _workers: list[Worker] = field(default_factory=list)

    async def open(
        self, task_queue: str | None = None, *, workflows: bool = True, activities: bool = True
    ) -> Worker:
        """Starts a worker."""
        worker = Worker(
            self.client,
            task_queue=task_queue or self.task_queue,
            workflows=self.workflows if workflows else [],
            activities=self.agency.activities() if activities else [],
            max_cached_workflows=self.cache,
            default_heartbeat_throttle_interval=timedelta(milliseconds=100),
            max_heartbeat_throttle_interval=timedelta(milliseconds=100),
        )
        await worker.__aenter__()
        self._workers.append(worker)
        return worker

    async def close(self, *workers: Worker) -> None:
        """Stops these workers, or all of them, without waiting for what they have begun."""
        for worker in workers or tuple(self._workers):
            self._workers.remove(worker)
            async with asyncio.timeout(PATIENCE):
                await worker.__aexit__(None, None, None)

    async def start(self, *do: "str | Plan", **plan: Any) -> Handle:
        """Starts a saga that does so."""
        trip_id = f"trip-{uuid4().hex[:8]}"
        self.ids.append(trip_id)
        return await start_saga(
            self.client, TripSaga.run, Plan(do=do, **plan), id=trip_id, task_queue=self.task_queue
        )

    def child_of(self, handle: Handle, name: str) -> Handle:
        """The child called `name`."""
        return self.client.get_workflow_handle(f"{handle.id}/{name}")

    async def ending(self, handle: Handle) -> Ending:
        """Waits until a workflow is closed."""
        result: object = None
        code = ""
        try:
            async with asyncio.timeout(PATIENCE):
                result = await handle.result()
        except WorkflowFailureError as error:
            cause = error.cause
            if isinstance(cause, ApplicationError):
                code = str(cause.details[0]) if cause.details else str(cause.type)
        description = await handle.describe()
        assert description.status is not None
        saga = description.typed_search_attributes.get(SAGA_STATUS)
        if saga is None:
            saga = await description.memo_value(SAGA_STATUS.name, None)
        return Ending(description.status.name, saga, code, result)

    async def failure(self, handle: Handle) -> ApplicationError:
        """What a workflow has failed with."""
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
        assert isinstance(failed.value.cause, ApplicationError)
        return failed.value.cause

    async def event(
        self, handle: Handle, kind: "EventType.ValueType", *, nth: int = 1, after: int = 0
    ) -> HistoryEvent:
        """Waits for the `nth` event of a kind in a workflow's history, counted after an event's id."""
        seen = 0
        async with asyncio.timeout(PATIENCE):
            async for event in handle.fetch_history_events(wait_new_event=True):
                seen += event.event_type == kind and event.event_id > after
                if seen == nth:
                    return event
        raise AssertionError(f"{handle.id} closed before {EventType.Name(kind)} number {nth}")

    async def next_run(self, handle: Handle) -> Handle:
        """Waits until the run that a handle stands for has continued as new; a handle of the latest run."""
        run_id = handle.run_id or handle.first_execution_run_id
        this = self.client.get_workflow_handle(handle.id, run_id=run_id)
        await self.event(this, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW)
        return self.client.get_workflow_handle(handle.id)

    async def status(self, handle: Handle, wanted: str, *, nth: int = 1) -> None:
        """Waits until a saga says of itself that it is so, for the `nth` time."""
        seen = 0
        async with asyncio.timeout(PATIENCE):
            async for event in handle.fetch_history_events(wait_new_event=True):
                said = _status_in(event) == f'"{wanted}"'.encode()
                seen += said
                if said and seen == nth:
                    return
        raise AssertionError(f"{handle.id} closed and was never {wanted}")

    async def pauses(self, handle: Handle) -> list[float]:
        """How long the timers of a workflow were, in seconds."""
        started = EventType.EVENT_TYPE_TIMER_STARTED
        timers = [
            event.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta()
            async for event in handle.fetch_history_events()
            if event.event_type == started
        ]
        return [timer.total_seconds() for timer in timers]

    async def retry(self, handle: Handle) -> str:
        """Has a stuck saga try again."""
        return await self.ask(handle, RETRY, OperatorNote(by="mia", because="the line is mended"))

    async def ask(self, handle: Handle, verb: str, request: OperatorNote) -> str:
        """Asks a saga for something as an operator."""
        async with asyncio.timeout(PATIENCE):
            status: str = await handle.execute_update(verb, request)
        return status

    async def refusal(self, handle: Handle, update: str, argument: object) -> str:
        """The sentence with which an update is refused."""
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await handle.execute_update(update, argument)
        return str(refused.value.cause)

    async def details(self, handle: Handle) -> str:
        """What a saga says of itself in the Web UI."""
        metadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
        details: str = metadata.current_details
        return details

    async def replay_everything(self) -> None:
        """Replays every workflow that was started here, and their children: same history, same commands."""
        plugins = self.client.config(active_config=True)["plugins"]
        replayer = Replayer(
            workflows=self.workflows,
            plugins=[each for each in plugins if isinstance(each, SagaPlugin)],
            data_converter=self.client.data_converter,
        )
        waiting = list(self.ids)
        while waiting:
            handle = self.client.get_workflow_handle(waiting.pop())
            history = await handle.fetch_history()
            await replayer.replay_workflow(history)
            waiting += [
                event.child_workflow_execution_started_event_attributes.workflow_execution.workflow_id
                for event in history.events
                if event.event_type == EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED
            ]

    async def end_everything(self) -> None:
        """Terminates what a test leaves open on purpose."""
        for trip_id in self.ids:
            handle = self.client.get_workflow_handle(trip_id)
            if (await handle.describe()).status is WorkflowExecutionStatus.RUNNING:
                await handle.terminate("the test is over")


def _status_in(event: HistoryEvent) -> bytes:
    """What a saga says of itself with this event, in its search attribute or in its memo."""
    attributes = event.upsert_workflow_search_attributes_event_attributes.search_attributes.indexed_fields
    memo = event.workflow_properties_modified_event_attributes.upserted_memo.fields
    return attributes[SAGA_STATUS.name].data or memo[SAGA_STATUS.name].data
