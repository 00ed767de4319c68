"""The moments in which the death of a process is worst, by name, so that tests can kill it there."""

from collections.abc import Callable
from enum import StrEnum, auto


class Failpoint(StrEnum):
    """Where an event may be lost, or handled twice, by who gets it wrong."""

    AFTER_INBOX = auto()
    """The inbox knows the event, and nothing is done yet; inside the transaction."""
    BEFORE_COMMIT = auto()
    """Everything is done, and nothing is committed."""
    AFTER_COMMIT = auto()
    """Everything is committed, and the event is not acknowledged."""
    AFTER_PUBLISH = auto()
    """The broker has an event, and it still stands in the outbox."""


Pass = Callable[[Failpoint], None]
"""Told of each failpoint that is passed; what it raises ends the work there, as a crash would."""


def go_on(failpoint: Failpoint) -> None:
    """Passes a failpoint as if it were not there."""
