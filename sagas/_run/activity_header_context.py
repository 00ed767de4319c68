"""The header of the current activity, passed from the call of the activity to the interceptor."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from temporalio.api.common.v1 import Payload

_header: ContextVar[Payload | None] = ContextVar("saga-activity-header", default=None)


@contextmanager
def scheduling_with(header: Payload) -> Generator[None]:
    """Marks activities that are scheduled inside this context as activities of the saga."""
    token = _header.set(header)
    try:
        yield
    finally:
        _header.reset(token)


def current_activity_header() -> Payload | None:
    """Returns the header of the activity that is being scheduled; None for an activity outside of a saga."""
    return _header.get()
