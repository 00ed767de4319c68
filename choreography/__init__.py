"""Participants that own their data: the unit of work, the fence, and (soon) the events between them."""

from ._bus import Bus, Handler, Topology
from ._database import Database, connect, unit_of_work
from ._errors import (
    BusUnavailableError,
    ContractError,
    DeadLetterError,
    TopologyError,
    UnroutableError,
)
from ._event import Event, event_id, next_event
from ._fence import KEY_REUSE, VOIDED, Refused
from ._participant import Answer, Handles, Participant

__all__ = [
    "KEY_REUSE",
    "VOIDED",
    "Answer",
    "Bus",
    "BusUnavailableError",
    "ContractError",
    "Database",
    "DeadLetterError",
    "Event",
    "Handler",
    "Handles",
    "Participant",
    "Refused",
    "Topology",
    "TopologyError",
    "UnroutableError",
    "connect",
    "event_id",
    "next_event",
    "unit_of_work",
]
