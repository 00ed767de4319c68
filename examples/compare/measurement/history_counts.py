"""Counts events, tasks and requests in the histories of sagas."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

CONCURRENT_FETCHES = 16

HISTORY_EVENTS = "history events"
WORKFLOW_TASKS = "workflow tasks"
ACTIVITY_TASKS = "activity tasks"
HTTP_REQUESTS = "HTTP requests"


def count_events(events: Iterable[HistoryEvent]) -> Counter[str]:
    """Counts the events and the started tasks of a history.

    Each attempt of an activity is one activity task and, in the examples, one HTTP request.
    """
    counted: Counter[str] = Counter()
    for event in events:
        counted[HISTORY_EVENTS] += 1
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED:
            counted[WORKFLOW_TASKS] += 1
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
            attempts = event.activity_task_started_event_attributes.attempt
            counted[ACTIVITY_TASKS] += attempts
            counted[HTTP_REQUESTS] += attempts
    return counted


async def count_histories(client: Client, workflow_ids: Sequence[str]) -> Counter[str]:
    """Sums the counts over the histories of workflows and of their children."""
    total: Counter[str] = Counter()
    slots = asyncio.Semaphore(CONCURRENT_FETCHES)

    async def count(workflow_id: str) -> list[str]:
        async with slots:
            history = await client.get_workflow_handle(workflow_id).fetch_history()
        total.update(count_events(history.events))
        return [
            event.child_workflow_execution_started_event_attributes.workflow_execution.workflow_id
            for event in history.events
            if event.event_type == EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED
        ]

    remaining = list(workflow_ids)
    while remaining:
        children = await asyncio.gather(*map(count, remaining))
        remaining = [child for each in children for child in each]
    return total
