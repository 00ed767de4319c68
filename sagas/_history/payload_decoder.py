"""Decodes a history: what a codec, or a store of large payloads, has made of its payloads."""

from collections.abc import Iterable, Iterator, MutableMapping, MutableSequence, Sequence
from typing import Any, cast

from google.protobuf.message import Message
from temporalio.api.common.v1 import Header, Payload, SearchAttributes
from temporalio.api.history.v1 import HistoryEvent
from temporalio.common import RawValue
from temporalio.converter import (
    ActivitySerializationContext,
    DataConverter,
    SerializationContext,
    WorkflowSerializationContext,
)


class PayloadDecoder:
    """Decodes the events of one workflow, from the first on.

    A codec may have been told what a payload belongs to, an activity or a workflow; so it is told again.

    Args:
        workflow_id: The workflow.
        namespace: Where it has run.
        converter: With the codec, if there is one.
    """

    def __init__(self, workflow_id: str, namespace: str, converter: DataConverter) -> None:
        self._workflow_id, self._namespace, self._converter = workflow_id, namespace, converter
        self._type = ""
        self._activities: dict[int, SerializationContext] = {}

    async def decode(self, event: HistoryEvent) -> None:
        """Decodes, in place, what is ever read of an event."""
        if self._converter.payload_codec is None and self._converter.external_storage is None:
            return
        name = event.WhichOneof("attributes") or ""
        if name.startswith("timer_started"):
            await self._decode(event.user_metadata, self._workflow(self._workflow_id))
        if (context := self._context_of(name, event)) is not None:
            await self._decode(getattr(event, name), context)

    def _context_of(self, name: str, event: HistoryEvent) -> SerializationContext | None:
        """What its payloads belong to; None where nobody reads them: of markers, Nexus and so on."""
        # Which message it is depends on the name; what it must have then is asked of it below.
        attributes: Any = getattr(event, name, None)
        if name.startswith("activity_task_"):
            if name.startswith("activity_task_scheduled"):
                self._activities[event.event_id] = self._activity(event)
                return self._activities[event.event_id]
            return self._activities.get(attributes.scheduled_event_id)
        if name.startswith("start_child_workflow_execution_"):
            return self._workflow(attributes.workflow_id)
        if name.startswith("child_workflow_execution_"):
            return self._workflow(attributes.workflow_execution.workflow_id)
        if name.startswith("workflow_execution_started"):
            self._type = attributes.workflow_type.name
        read = ("workflow_execution_", "workflow_properties_modified_event", "workflow_task_failed")
        is_read = name.startswith(read)
        return self._workflow(self._workflow_id) if is_read else None

    def _workflow(self, workflow_id: str) -> SerializationContext:
        return WorkflowSerializationContext(namespace=self._namespace, workflow_id=workflow_id)

    def _activity(self, event: HistoryEvent) -> SerializationContext:
        scheduled = event.activity_task_scheduled_event_attributes
        return ActivitySerializationContext(
            namespace=self._namespace,
            activity_id=scheduled.activity_id,
            activity_type=scheduled.activity_type.name,
            activity_task_queue=scheduled.task_queue.name,
            workflow_id=self._workflow_id,
            workflow_type=self._type,
            is_local=False,
        )

    async def _decode(self, message: Message, context: SerializationContext) -> None:
        converter = self._converter.with_context(context)
        for payload in list(_payloads(message)):
            decoded: Sequence[RawValue] = await converter.decode([payload], [RawValue])
            payload.CopyFrom(decoded[0].payload)


def _payloads(message: Message) -> Iterator[Payload]:
    """All but headers and search attributes, which nobody encodes."""
    if isinstance(message, Payload):
        yield message
        return
    if isinstance(message, (Header, SearchAttributes)):
        return
    for _, value in message.ListFields():
        parts: Iterable[object] = ()
        if isinstance(value, Message):
            parts = (value,)
        elif isinstance(value, MutableMapping):
            parts = cast("MutableMapping[object, object]", value).values()
        elif isinstance(value, MutableSequence):
            parts = cast("MutableSequence[object]", value)
        for part in parts:
            if isinstance(part, Message):
                yield from _payloads(part)
