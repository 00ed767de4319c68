"""Participants that own their data, and the events with which they react to each other."""

from ._bus import Bus, Handler, Topology
from ._database import Database, connect, unit_of_work
from ._dead_letter import DeadLetter
from ._door import Door
from ._errors import (
    BusUnavailableError,
    ContractError,
    DeadLetterError,
    TopologyError,
    UnroutableError,
)
from ._event import Event, event_id, next_event
from ._facts import Command, Fact
from ._failpoint import Failpoint
from ._fence import KEY_REUSE, VOIDED, Refused
from ._graph import topology_of
from ._handling import Assignment
from ._memory import MemoryBus
from ._on import on
from ._participant import Answer, Handles, Participant
from ._rabbit_bus import RabbitBus
from ._rabbit_options import RabbitOptions
from ._reactions import Reactions
from ._relay import Relay
from ._service import RunningParticipant, run_participant

__all__ = [
    "KEY_REUSE",
    "VOIDED",
    "Answer",
    "Assignment",
    "Bus",
    "BusUnavailableError",
    "Command",
    "ContractError",
    "Database",
    "DeadLetter",
    "DeadLetterError",
    "Door",
    "Event",
    "Fact",
    "Failpoint",
    "Handler",
    "Handles",
    "MemoryBus",
    "Participant",
    "RabbitBus",
    "RabbitOptions",
    "Reactions",
    "Refused",
    "Relay",
    "RunningParticipant",
    "Topology",
    "TopologyError",
    "UnroutableError",
    "connect",
    "event_id",
    "next_event",
    "on",
    "run_participant",
    "topology_of",
    "unit_of_work",
]
