"""Participants that own their data: the unit of work, the fence, and the events between them."""

from ._bus import Bus, Handler, Topology
from ._database import Database, connect, unit_of_work
from ._dead_letter import DeadLetter
from ._errors import (
    BusUnavailableError,
    ContractError,
    DeadLetterError,
    TopologyError,
    UnroutableError,
)
from ._event import Event, event_id, next_event
from ._fence import KEY_REUSE, VOIDED, Refused
from ._memory import MemoryBus
from ._participant import Answer, Handles, Participant
from ._rabbit_bus import RabbitBus
from ._rabbit_options import RabbitOptions

__all__ = [
    "KEY_REUSE",
    "VOIDED",
    "Answer",
    "Bus",
    "BusUnavailableError",
    "ContractError",
    "Database",
    "DeadLetter",
    "DeadLetterError",
    "Event",
    "Handler",
    "Handles",
    "MemoryBus",
    "Participant",
    "RabbitBus",
    "RabbitOptions",
    "Refused",
    "Topology",
    "TopologyError",
    "UnroutableError",
    "connect",
    "event_id",
    "next_event",
    "unit_of_work",
]
