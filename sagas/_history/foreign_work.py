"""Reads the foreign work of a saga: work of the workflow's own that ran while the saga was open."""

import json
from typing import Any, cast

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from .._core.outcome import Outcome
from .._wire.activity_header import FOREIGN_WORK, HEADER
from .._wire.child_saga import CHILD_MEMO, INDEPENDENT_MEMO
from .._wire.continued_state import CONTINUED_STATE_MEMO
from .event_values import event_time
from .saga_record import ForeignKind, ForeignRecord

LOCAL_ACTIVITY = "core_local_activity"
"""The name of the marker of an ended local activity."""
OUTCOMES = {
    EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED: Outcome.DONE,
    EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED: Outcome.UNKNOWN,
    EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT: Outcome.UNKNOWN,
    EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED: Outcome.UNKNOWN,
    EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED: Outcome.WITHDRAWN,
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED: Outcome.DONE,
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED: Outcome.UNKNOWN,
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT: Outcome.UNKNOWN,
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED: Outcome.UNKNOWN,
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED: Outcome.UNKNOWN,
    EventType.EVENT_TYPE_NEXUS_OPERATION_COMPLETED: Outcome.DONE,
    EventType.EVENT_TYPE_NEXUS_OPERATION_FAILED: Outcome.UNKNOWN,
    EventType.EVENT_TYPE_NEXUS_OPERATION_TIMED_OUT: Outcome.UNKNOWN,
    EventType.EVENT_TYPE_NEXUS_OPERATION_CANCELED: Outcome.UNKNOWN,
}
"""The outcomes of ended work: a failure does not exclude an effect."""


class ForeignWorkReader:
    """Reads the events of a workflow in order.

    A mark in the header tells work inside the block from work outside. Local activities and histories of
    older versions have no mark: there, the block begins with the first step, and ends with the published end.

    Args:
        found: The list to fill.
    """

    def __init__(self, found: list[ForeignRecord]) -> None:
        self._found = found
        self._is_open = self._has_ended = False
        self._by_event_id: dict[int, ForeignRecord] = {}
        self._unmarked: tuple[int, list[ForeignRecord]] = (0, [])
        """The latest workflow task with work without a mark, and the work."""

    def read(self, event: HistoryEvent) -> None:
        """Reads an event; unrelated events have no effect."""
        kind = event.event_type
        if kind == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
            self._start(event)
        elif kind == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            activity = event.activity_task_scheduled_event_attributes
            if HEADER in activity.header.fields:
                self._is_open = not self._has_ended
            else:
                name, is_marked = activity.activity_type.name, FOREIGN_WORK in activity.header.fields
                self._add(event, ForeignKind.ACTIVITY, name, is_marked=is_marked)
        elif kind == EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED:
            child = event.start_child_workflow_execution_initiated_event_attributes
            if CHILD_MEMO in child.memo.fields or INDEPENDENT_MEMO in child.memo.fields:
                self._is_open = not self._has_ended
            else:
                name, is_marked = child.workflow_type.name, FOREIGN_WORK in child.header.fields
                self._add(event, ForeignKind.CHILD_WORKFLOW, name, is_marked=is_marked)
        elif kind == EventType.EVENT_TYPE_NEXUS_OPERATION_SCHEDULED:
            nexus = event.nexus_operation_scheduled_event_attributes
            is_marked = FOREIGN_WORK in nexus.nexus_header
            self._add(event, ForeignKind.NEXUS_OPERATION, nexus.operation, is_marked=is_marked)
        elif kind == EventType.EVENT_TYPE_MARKER_RECORDED:
            self._read_marker(event)
        elif (outcome := OUTCOMES.get(kind)) is not None:
            self._end(event, outcome)

    def end_saga(self, task: int) -> None:
        """Reads the published end of the saga; the code after the block may follow in the same workflow task.

        Args:
            task: The event id of the workflow task.
        """
        self._is_open, self._has_ended = False, True
        if self._unmarked[0] == task:
            after_block = self._unmarked[1]
            self._found[:] = [each for each in self._found if all(each is not other for other in after_block)]

    def _start(self, event: HistoryEvent) -> None:
        memo = event.workflow_execution_started_event_attributes.memo
        self._is_open, self._has_ended = CONTINUED_STATE_MEMO in memo.fields, False
        # Event ids begin anew in each run.
        self._by_event_id.clear()
        self._unmarked = (0, [])

    def _read_marker(self, event: HistoryEvent) -> None:
        marker = event.marker_recorded_event_attributes
        if marker.marker_name != LOCAL_ACTIVITY:
            return
        name = _activity_type(marker.details["data"].payloads[0].data if "data" in marker.details else b"")
        if (added := self._add(event, ForeignKind.LOCAL_ACTIVITY, name, is_marked=False)) is not None:
            added.ended_at = added.started_at
            added.outcome = Outcome.UNKNOWN if marker.HasField("failure") else Outcome.DONE

    def _add(
        self, event: HistoryEvent, kind: ForeignKind, name: str, *, is_marked: bool
    ) -> ForeignRecord | None:
        if not (is_marked or self._is_open):
            return None
        added = ForeignRecord(name=name, kind=kind, started_at=event_time(event))
        self._found.append(added)
        self._by_event_id[event.event_id] = added
        if not is_marked:
            task: int = _attributes(event).workflow_task_completed_event_id
            if self._unmarked[0] != task:
                self._unmarked = (task, [])
            self._unmarked[1].append(added)
        return added

    def _end(self, event: HistoryEvent, outcome: Outcome) -> None:
        attributes = _attributes(event)
        # Activities and Nexus operations are scheduled, children are initiated.
        begun: int = getattr(attributes, "scheduled_event_id", 0) or getattr(
            attributes, "initiated_event_id", 0
        )
        if (work := self._by_event_id.get(begun)) is not None:
            work.ended_at, work.outcome = event_time(event), outcome


def _attributes(event: HistoryEvent) -> Any:
    return getattr(event, event.WhichOneof("attributes") or "")


def _activity_type(data: bytes) -> str:
    """The type of a local activity in the data of the marker, which Temporal's core writes as JSON."""
    try:
        fields = cast("dict[str, object]", json.loads(data))
        return str(fields["activity_type"])
    except (KeyError, TypeError, ValueError):
        return ForeignKind.LOCAL_ACTIVITY.value
