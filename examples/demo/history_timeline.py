"""The timeline of an orchestrated saga, from the Temporal history alone: no worker has to run."""

import asyncio
from collections.abc import AsyncIterator

from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.service import RPCError

from .timeline import TimelineEntry

RECONNECT_SECONDS = 0.2


class HistoryTimeline:
    """Reads timelines from the histories of a Temporal server; children are nested in their parents."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def entries(self, saga_id: str, ended: asyncio.Event) -> AsyncIterator[TimelineEntry]:
        """Yields the entries of a saga until the workflow has closed."""
        del ended  # The history ends by itself.
        return self._entries(saga_id, depth=0)

    async def failure_reason(self, saga_id: str) -> str:
        """Returns the message of the failure of a workflow, or "" if the workflow completed."""
        try:
            await self._client.get_workflow_handle(saga_id).result()
        except WorkflowFailureError as error:
            return str(getattr(error.cause, "message", error.cause))
        return ""

    async def _entries(self, workflow_id: str, depth: int) -> AsyncIterator[TimelineEntry]:
        names: dict[int, str] = {}
        async for event in self._events(self._client.get_workflow_handle(workflow_id)):
            scheduled = event.activity_task_scheduled_event_attributes
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                summary = self._client.data_converter.payload_converter.from_payload(
                    event.user_metadata.summary, str
                )
                names[event.event_id] = summary or scheduled.activity_id
            elif event.event_type == EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED:
                child = event.child_workflow_execution_started_event_attributes.workflow_execution.workflow_id
                yield TimelineEntry(f"child saga: {child.rpartition('/')[2]}", "started", depth=depth)
                async for entry in self._entries(child, depth + 1):
                    yield entry
            elif (ended := _ended_step(event, names, depth)) is not None:
                yield ended

    async def _events(self, handle: WorkflowHandle[object, object]) -> AsyncIterator[HistoryEvent]:
        """Yields the events of a history until the end, across restarts of the server."""
        last_id = 0
        while True:
            try:
                async for event in handle.fetch_history_events(wait_new_event=True):
                    if event.event_id > last_id:
                        last_id = event.event_id
                        yield event
            except RPCError:
                await asyncio.sleep(RECONNECT_SECONDS)
            else:
                return


def _ended_step(event: HistoryEvent, names: dict[int, str], depth: int) -> TimelineEntry | None:
    match event.event_type:
        case EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            step = names[event.activity_task_completed_event_attributes.scheduled_event_id]
            return TimelineEntry(step, "done", depth=depth)
        case EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED:
            failed = event.activity_task_failed_event_attributes
            info = failed.failure.application_failure_info
            outcome = "rejected" if info.type == "Rejected" else "unknown"
            return TimelineEntry(names[failed.scheduled_event_id], outcome, _reason(failed.failure), depth)
        case EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
            timed_out = event.activity_task_timed_out_event_attributes
            return TimelineEntry(names[timed_out.scheduled_event_id], "unknown", "timed out", depth)
        case EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED:
            cancelled = event.activity_task_canceled_event_attributes
            return TimelineEntry(names[cancelled.scheduled_event_id], "cancelled", "cancelled", depth)
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
            return TimelineEntry("cancellation requested", "requested", depth=depth)
        case _:
            return None


def _reason(failure: Failure) -> str:
    return failure.message[:100]
