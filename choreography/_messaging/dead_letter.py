"""Dead letters: messages that a participant could not handle, kept with the reason."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from .cloudevents import BrokerMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message that a participant could not handle.

    Args:
        participant: The owner of the queue.
        reason: Why the message became a dead letter, for an operator.
        body: The body as received; may be any bytes.
        content_type: The declared content type.
        message_id: The id of the event, if any.
        headers: The headers as received.
    """

    participant: str
    reason: str
    body: bytes
    content_type: str | None = None
    message_id: str | None = None
    headers: Mapping[str, object] = field(default_factory=dict[str, object])

    @classmethod
    def from_message(cls, message: BrokerMessage, *, participant: str, reason: str) -> Self:
        """Builds the dead letter of a message."""
        return cls(
            participant=participant,
            reason=reason,
            body=message.body,
            content_type=message.content_type,
            message_id=message.message_id,
            headers=message.headers,
        )
