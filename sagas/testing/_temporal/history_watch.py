"""Watches the histories of a saga and the children: awaits events, and detects failing workflow code."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from ..._wire.search_attribute import SAGA_STATUS
from ..._wire.timer_summaries import approval_in
from .._errors import SagaTestError
from .replay import next_runs

T = TypeVar("T")

CODE_FAILURES = frozenset(
    {
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE,
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR,
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_BAD_SEARCH_ATTRIBUTES,
    }
)
"""The failures of workflow tasks that a further attempt of the task would repeat."""


class HistoryWatch:
    """Follows the events of a saga, of the next runs and of the children.

    Args:
        client: The client.
        root_id: The id of the saga.
    """

    def __init__(self, client: Client, root_id: str) -> None:
        self._client, self._root_id = client, root_id
        self._events: list[HistoryEvent] = []
        self._is_closed = False
        self._changed = asyncio.Condition()
        self._error: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks = set[asyncio.Task[None]]()

    def start(self, run_id: str) -> None:
        """Begins to follow the saga."""
        self._start(self._root_id, run_id)

    def fail(self, error: Exception) -> None:
        """Ends every wait with an error."""
        if not self._error.done():
            self._error.set_exception(error)

    def fail_with(self, task: asyncio.Task[None]) -> None:
        """Ends every wait with the error of a task in the background, if the task has failed."""
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self.fail(error)

    async def wait_or_fail(self, waiting: Coroutine[object, object, T]) -> T:
        """Waits, unless the test fails first.

        Raises:
            Exception: The error with which the test fails.
        """
        task = asyncio.create_task(waiting)
        both: list[asyncio.Future[Any]] = [task, self._error]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if self._error.done():
                self._error.result()
            return await task
        finally:
            task.cancel()

    async def wait_for(self, is_wanted: Callable[[HistoryEvent], bool], *, nth: int = 1) -> None:
        """Waits for the `nth` event of a kind.

        Raises:
            SagaTestError: The workflow has closed without the event.
        """

        def has_come() -> bool:
            return sum(map(is_wanted, self._events)) >= nth

        async with self._changed:
            await self._changed.wait_for(lambda: has_come() or self._is_closed)
        if not has_come():
            raise SagaTestError(f"saga {self._root_id!r} has ended before the awaited event")

    async def stop(self) -> None:
        """Ends the watch."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if not self._error.cancel():
            # Read, or asyncio would log the error.
            self._error.exception()

    def _start(self, workflow_id: str, run_id: str) -> None:
        task = asyncio.create_task(self._follow(workflow_id, run_id))
        self._tasks.add(task)
        task.add_done_callback(self.fail_with)

    async def _follow(self, workflow_id: str, run_id: str) -> None:
        handle = self._client.get_workflow_handle(workflow_id, run_id=run_id)
        is_continued = False
        async for event in handle.fetch_history_events(wait_new_event=True):
            failed = event.workflow_task_failed_event_attributes
            if failed.cause in CODE_FAILURES:
                self.fail(
                    SagaTestError(f"the workflow code of {workflow_id!r} fails: {failed.failure.message}")
                )
            for next_id, next_run_id in next_runs(workflow_id, event):
                self._start(next_id, next_run_id)
                is_continued = next_id == workflow_id
            if workflow_id == self._root_id:
                async with self._changed:
                    self._events.append(event)
                    self._changed.notify_all()
        if workflow_id == self._root_id and not is_continued:
            async with self._changed:
                self._is_closed = True
                self._changed.notify_all()


def publishes(status: str) -> Callable[[HistoryEvent], bool]:
    """Recognizes the event that publishes a status of a saga, in the search attribute or in the memo."""
    wanted, name = json.dumps(status).encode(), SAGA_STATUS.name

    def is_wanted(event: HistoryEvent) -> bool:
        attributes = event.upsert_workflow_search_attributes_event_attributes.search_attributes.indexed_fields
        memo = event.workflow_properties_modified_event_attributes.upserted_memo.fields
        # Not by index: protobuf would add the missing entry, and clear the attributes of the other kind.
        return any(name in each and each[name].data == wanted for each in (attributes, memo))

    return is_wanted


def begins_wait(name: str) -> Callable[[HistoryEvent], bool]:
    """Recognizes the event that begins a wait for an event or an approval."""

    def is_wanted(event: HistoryEvent) -> bool:
        data = event.user_metadata.summary.data
        if event.event_type != EventType.EVENT_TYPE_TIMER_STARTED or not data:
            return False
        summary = str(json.loads(data))
        approval = approval_in(summary)
        return summary == f"until {name}" or (approval is not None and approval[0] == name)

    return is_wanted
