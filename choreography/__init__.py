"""Choreographed sagas: participants own their data and react to each other's events."""

from ._declarations.event import Event
from ._declarations.event_type import CommandType, EventType
from ._declarations.participant import OperationHandler, Participant
from ._declarations.reaction import on
from ._declarations.reactions import Reactions
from ._declarations.topology import Topology, build_topology
from ._errors import (
    BusUnavailableError,
    ContractError,
    DeadLetterError,
    TopologyError,
    UnroutableError,
)
from ._messaging.bus import Bus
from ._messaging.dead_letter import DeadLetter
from ._messaging.memory_bus import MemoryBus
from ._messaging.rabbitmq.bus import RabbitBus
from ._messaging.rabbitmq.options import RabbitOptions
from ._runtime.fault_injection import FaultInjector
from ._runtime.participant_runner import RunningParticipant, run_participant
from ._transaction.database import Database
from ._transaction.fence import KEY_REUSE, VOIDED
from ._transaction.operation_executor import OperationRequest, execute_operation
from ._transaction.schema import build_schema

__all__ = [
    "KEY_REUSE",
    "VOIDED",
    "Bus",
    "BusUnavailableError",
    "CommandType",
    "ContractError",
    "Database",
    "DeadLetter",
    "DeadLetterError",
    "Event",
    "EventType",
    "FaultInjector",
    "MemoryBus",
    "OperationHandler",
    "OperationRequest",
    "Participant",
    "RabbitBus",
    "RabbitOptions",
    "Reactions",
    "RunningParticipant",
    "Topology",
    "TopologyError",
    "UnroutableError",
    "build_schema",
    "build_topology",
    "execute_operation",
    "on",
    "run_participant",
]
