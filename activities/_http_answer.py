"""The answer of an HTTP API, for functions that find rejections in the body."""

from dataclasses import dataclass, field

from pydantic_core import from_json

RETRIED_STATUSES = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer to a call.

    Args:
        status: The status.
        body: The body, at most 1 MiB; left out of the representation, because a body may hold secrets.
    """

    status: int
    body: bytes = field(repr=False)

    def json(self) -> object:
        """Returns the body as JSON; `None` if the body is not JSON."""
        try:
            return from_json(self.body)
        except ValueError:
            return None
