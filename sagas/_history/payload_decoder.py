"""Decodes the payloads of history events with the payload codec and the external storage of a client."""

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
    """Decodes the events of a workflow, in order from the first.

    A codec may depend on the serialization context. The decoder gives each payload the context of the
    encoding by the SDK: of an activity, a child workflow, or the workflow.

    Args:
        workflow_id: The workflow id.
        namespace: The namespace of the workflow.
        converter: The data converter of the client.
    """

    def __init__(self, workflow_id: str, namespace: str, converter: DataConverter) -> None:
        self._workflow_id, self._namespace, self._converter = workflow_id, namespace, converter
        self._workflow_type = ""
        self._activities: dict[int, SerializationContext] = {}

    async def decode(self, event: HistoryEvent) -> None:
        """Decodes the payloads of an event in place; payloads without use for the parser stay encoded."""
        if self._converter.payload_codec is None and self._converter.external_storage is None:
            return
        name = event.WhichOneof("attributes") or ""
        if name.startswith("timer_started"):
            await self._decode(event.user_metadata, self._workflow(self._workflow_id))
        if (context := self._context_of(name, event)) is not None:
            await self._decode(getattr(event, name), context)

    def _context_of(self, name: str, event: HistoryEvent) -> SerializationContext | None:
        """The context of the payloads of an event; None for markers, Nexus events and others."""
        # `name` selects one of many message types; each branch reads only fields that its types have.
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
            self._workflow_type = attributes.workflow_type.name
        own = ("workflow_execution_", "workflow_properties_modified_event", "workflow_task_failed")
        return self._workflow(self._workflow_id) if name.startswith(own) else None

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
            workflow_type=self._workflow_type,
            is_local=False,
        )

    async def _decode(self, message: Message, context: SerializationContext) -> None:
        converter = self._converter.with_context(context)
        for payload in list(_payloads(message)):
            decoded: Sequence[RawValue] = await converter.decode([payload], [RawValue])
            payload.CopyFrom(decoded[0].payload)


def _payloads(message: Message) -> Iterator[Payload]:
    """The payloads in a message, except the unencoded headers and search attributes."""
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
