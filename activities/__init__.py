"""Building blocks for activities: HTTP calls to participants, idempotency keys, and saved progress."""

from ._circuit_breaker import CircuitBreaker
from ._http_answer import HttpAnswer
from ._http_participant import HttpParticipant
from ._http_route import HttpRoute
from ._idempotency_key import idempotency_key
from ._progress import Progress

__all__ = ["CircuitBreaker", "HttpAnswer", "HttpParticipant", "HttpRoute", "Progress", "idempotency_key"]
