"""Building blocks for activities: HTTP calls to participants, idempotency keys, and saved progress."""

from ._http_participant import HttpParticipant
from ._idempotency_key import idempotency_key
from ._progress import Progress

__all__ = ["HttpParticipant", "Progress", "idempotency_key"]
