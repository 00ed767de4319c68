"""What steps do: calls to participants, with an idempotency key and a classified answer."""

from ._http_participant import HttpParticipant
from ._idempotency_key import idempotency_key
from ._progress import Progress

__all__ = ["HttpParticipant", "Progress", "idempotency_key"]
