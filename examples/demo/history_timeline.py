"""A saga's story, told live from its history alone: it works without a worker, and after the end as well."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError

MARKS = {"done": "✓", "rejected": "✗", "unknown": "?", "cancelled": "-"}


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened: to which step, how it ended, and why."""

    step: str
    outcome: str
    reason: str = ""
    depth: int = 0

    def __str__(self) -> str:
        reason = f"  ({self.reason})" if self.reason else ""
        return f"{'  ' * self.depth}{MARKS.get(self.outcome, '·')} {self.step}{reason}"


class Story:
    """Reads one saga after the other from the histories of a server, children where they belong."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def lines(self, workflow_id: str, *, depth: int = 0) -> AsyncIterator[Line]:
        """What happens in a saga, as it happens, until the saga has closed."""
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
                yield Line(f"{child.rpartition('/')[2]}, as a child saga", "begun", depth=depth)
                async for told in self.lines(child, depth=depth + 1):
                    yield told
            elif (line := _ended(event, names, depth)) is not None:
                yield line

    async def _events(self, handle: WorkflowHandle[object, object]) -> AsyncIterator[HistoryEvent]:
        """The events of a history until it ends, across restarts of the server."""
        told = 0
        while True:
            try:
                async for event in handle.fetch_history_events(wait_new_event=True):
                    if event.event_id > told:
                        told = event.event_id
                        yield event
            except RPCError:
                await asyncio.sleep(0.2)
            else:
                return


def _ended(event: HistoryEvent, names: dict[int, str], depth: int) -> Line | None:
    match event.event_type:
        case EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            step = names[event.activity_task_completed_event_attributes.scheduled_event_id]
            return Line(step, "done", depth=depth)
        case EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED:
            failed = event.activity_task_failed_event_attributes
            info = failed.failure.application_failure_info
            outcome = "rejected" if info.type == "Rejected" else "unknown"
            return Line(names[failed.scheduled_event_id], outcome, _reason(failed.failure), depth)
        case EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
            timed_out = event.activity_task_timed_out_event_attributes
            return Line(names[timed_out.scheduled_event_id], "unknown", "no answer in time", depth)
        case EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED:
            cancelled = event.activity_task_canceled_event_attributes
            return Line(names[cancelled.scheduled_event_id], "cancelled", "withdrawn", depth)
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
            return Line("cancel requested", "noted", depth=depth)
        case _:
            return None


def _reason(failure: Failure) -> str:
    return failure.message[:100]
