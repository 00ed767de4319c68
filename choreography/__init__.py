"""Participants that own their data, and the events with which they react to each other."""

from ._declarations.event import Event, event_id, next_event
from ._declarations.event_type import Command, Fact
from ._declarations.participant import Answer, Handles, Participant
from ._declarations.reaction import on
from ._declarations.reactions import Reactions
from ._declarations.topology import topology_of
from ._errors import (
    BusUnavailableError,
    ContractError,
    DeadLetterError,
    TopologyError,
    UnroutableError,
)
from ._messaging.bus import Bus, Handler, Topology
from ._messaging.dead_letter import DeadLetter
from ._messaging.memory_bus import MemoryBus
from ._messaging.rabbitmq.bus import RabbitBus
from ._messaging.rabbitmq.options import RabbitOptions
from ._runtime.fault_injection import Door
from ._runtime.outbox_relay import Relay
from ._runtime.participant_runner import RunningParticipant, run_participant
from ._transaction.database import Database, connect, unit_of_work
from ._transaction.event_processor import Assignment
from ._transaction.failpoint import Failpoint
from ._transaction.fence import KEY_REUSE, VOIDED, Refused

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
