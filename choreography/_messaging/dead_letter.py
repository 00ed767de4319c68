"""What could not be handled, put aside with its reason: nothing vanishes."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message that a participant could not handle, as it came, and why.

    Args:
        participant: Whose queue it was in.
        reason: Why it was put aside, for people.
        body: As it came; it may be anything.
        content_type: The one that it declares.
        message_id: The id of the event, if it has one.
        headers: As they came.
    """

    participant: str
    reason: str
    body: bytes
    content_type: str | None = None
    message_id: str | None = None
    headers: Mapping[str, object] = field(default_factory=dict[str, object])
