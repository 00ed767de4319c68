"""The envelope of an event, which states that a step of a saga has happened."""

from datetime import datetime
from uuid import UUID, uuid5

from pydantic import AwareDatetime, BaseModel, ConfigDict, JsonValue

from .event_type import AnyEventType

NAMESPACE = UUID("8c0d1f5e-4b0a-5f0e-9a53-6d1f0b7f3a11")
"""The namespace of event ids; a change would give every event another id."""
LONGEST_ATTRIBUTE = 255
"""Bytes in UTF-8; the limit of a short string in AMQP 0-9-1."""


class Event(BaseModel):
    """An event of a saga.

    The id is derived from the saga, the event type and the causing event (see `event_id`): a second
    publication has the same id, so that consumers can deduplicate.

    Args:
        id: Unique per event; the same on every publication and every delivery.
        type: The name of the event type, in the past tense, with dashes: `stock-reserved`.
        source: The publishing participant.
        saga_id: The run of the saga: the correlation id.
        causation_id: The id of the causing event; `None` for the first event of a saga.
        time: When the event happened.
        data: The content, as JSON.
        traceparent: The W3C trace context of the creation, if any.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    type: str
    source: str
    saga_id: str
    causation_id: str | None = None
    time: AwareDatetime
    data: dict[str, JsonValue]
    traceparent: str | None = None


def is_attribute(text: str) -> bool:
    """Whether a text can be an attribute of an event, such as the id of a saga: 1 to 255 bytes in UTF-8."""
    try:
        return 0 < len(text.encode()) <= LONGEST_ATTRIBUTE
    except UnicodeEncodeError:
        return False


def event_id(saga_id: str, event_type: str, causation_id: str | None) -> str:
    """Derives the id of an event; the same arguments give the same id."""
    return str(uuid5(NAMESPACE, f"{saga_id}\n{event_type}\n{causation_id or ''}"))


def create_event(
    event_type: AnyEventType, data: BaseModel, *, saga_id: str, time: datetime, cause: Event | None = None
) -> Event:
    """Creates an event caused by `cause`, with a derived id and the trace context of `cause`."""
    causation_id = cause.id if cause else None
    return Event(
        id=event_id(saga_id, event_type.name, causation_id),
        type=event_type.name,
        source=event_type.source,
        saga_id=saga_id,
        causation_id=causation_id,
        time=time,
        data=data.model_dump(mode="json"),
        traceparent=cause.traceparent if cause else None,
    )
