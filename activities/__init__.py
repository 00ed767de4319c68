"""What the steps of a saga do: calls to participants over HTTP, idempotency keys, and saved progress."""

from ._http_participant import HttpParticipant
from ._idempotency_key import idempotency_key
from ._progress import Progress

__all__ = ["HttpParticipant", "Progress", "idempotency_key"]
