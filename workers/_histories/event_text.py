"""Texts for events of workflow histories."""

import json

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent


def event_type_of(event: HistoryEvent) -> str:
    """Names the type of an event as Temporal's Web UI does: `ActivityTaskScheduled`."""
    words = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").split("_")
    return "".join(word.capitalize() for word in words)


def describe_event(event: HistoryEvent) -> str:
    """Describes an event by number, type and name: `event 5, ActivityTaskScheduled 'create-order'`."""
    name = next(iter(names_in(event)), "")
    return f"event {event.event_id}, {event_type_of(event)}{f' {name!r}' if name else ''}"


def names_in(event: HistoryEvent) -> list[str]:
    """Lists the names in an event: patch, activity id and type, child id and type, timer id."""
    activity = event.activity_task_scheduled_event_attributes
    child = event.start_child_workflow_execution_initiated_event_attributes
    timer = event.timer_started_event_attributes
    marker = event.marker_recorded_event_attributes.details
    patches = [json.loads(payload.data)["id"] for payload in marker["patch-data"].payloads] if marker else []
    names = (
        *patches,
        activity.activity_id,
        activity.activity_type.name,
        child.workflow_id,
        child.workflow_type.name,
        timer.timer_id,
    )
    return [name for name in names if name]
