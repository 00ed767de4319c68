"""Failpoints: the moments at which a crash is most dangerous, named so that tests can crash there."""

from collections.abc import Callable
from enum import StrEnum, auto
from typing import TypeAlias


class Failpoint(StrEnum):
    """A moment at which an incorrect implementation would lose an event or repeat an effect."""

    AFTER_INBOX = auto()
    """In the transaction: the inbox holds the event, and no reaction has run."""
    BEFORE_COMMIT = auto()
    """In the transaction: every reaction has run."""
    AFTER_COMMIT = auto()
    """The transaction is committed, and the event is not acknowledged."""
    AFTER_PUBLISH = auto()
    """The broker has confirmed an event, and the outbox still holds the event."""


FailpointHook: TypeAlias = Callable[[Failpoint], None]
"""Called at each failpoint; an exception of the hook ends the work there, as a crash would."""


def ignore_failpoint(failpoint: Failpoint) -> None:
    """Passes a failpoint, as in production."""
