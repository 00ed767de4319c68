"""The envelope of an event: a fact about a saga, that somebody may react to."""

from datetime import datetime
from uuid import UUID, uuid5

from pydantic import AwareDatetime, BaseModel, ConfigDict, JsonValue

NAMESPACE = UUID("8c0d1f5e-4b0a-5f0e-9a53-6d1f0b7f3a11")


class Event(BaseModel):
    """Something that has happened in a saga, as the participant that did it tells the others.

    The id is made from the saga, the type and what caused it (see `event_id`), so an event that is told
    twice is the same event.

    Args:
        id: Unique; the same however often the event is published.
        type: What has happened, in the past tense, with dashes: `stock-reserved`.
        source: The participant that tells it.
        saga_id: The run that it belongs to: the correlation id.
        causation_id: The id of the event that led to it; `None` for the first.
        time: When it happened.
        data: What there is to know, as JSON.
        traceparent: The W3C trace context in which it happened, if there is one.
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


def event_id(saga_id: str, event_type: str, causation_id: str | None) -> str:
    """The id of the event of a type that another one leads to: the same each time it is asked for."""
    return str(uuid5(NAMESPACE, f"{saga_id}\n{event_type}\n{causation_id or ''}"))


def next_event(
    *,
    saga_id: str,
    type: str,  # noqa: A002 - as in the envelope
    source: str,
    time: datetime,
    data: dict[str, JsonValue],
    cause: Event | None = None,
    traceparent: str | None = None,
) -> Event:
    """The event that follows from `cause`, with its deterministic id."""
    causation_id = cause.id if cause else None
    return Event(
        id=event_id(saga_id, type, causation_id),
        type=type,
        source=source,
        saga_id=saga_id,
        causation_id=causation_id,
        time=time,
        data=data,
        traceparent=traceparent,
    )
