"""The errors of a choreography.

::

    SagaError                  (`sagas`)
    ├── DefinitionError        (`sagas`) participants or reactions contradict each other: fix the declaration
    ├── RejectedError          (`sagas`) a participant rejected a command or an operation for good
    ├── ContractError          code of a participant broke a contract: fix the code
    ├── BusUnavailableError    the broker is unreachable or did not confirm in time: publish again
    ├── UnroutableError        a queue is missing: declare the topology, then publish again
    ├── TopologyError          the broker and the topology contradict each other: a person has to decide
    └── DeadLetterError        an event can never be handled: the event becomes a dead letter

A stopping participant interrupts events before their transaction with the built-in `InterruptedError`; the
broker redelivers interrupted events.
"""

from sagas import SagaError


class ContractError(SagaError):
    """Code of a participant broke a contract; the transaction was rolled back, and the code needs a fix."""

    wire_type = "ContractError"


class BusUnavailableError(SagaError):
    """The broker is unreachable or did not confirm in time; a published event may have arrived anyway."""

    wire_type = "BusUnavailableError"


class UnroutableError(SagaError):
    """The queue of a subscriber is missing; the topology has to be declared."""

    wire_type = "UnroutableError"


class TopologyError(SagaError):
    """A name is invalid, a queue is not declared, or a queue or exchange exists with other arguments."""

    wire_type = "TopologyError"


class DeadLetterError(SagaError):
    """An event can never be handled; the bus moves the event to the dead letters with this reason."""

    wire_type = "DeadLetterError"


def wire_type_of(error: BaseException) -> str:
    """The name of an error in dead letters, outbox rows and spans; the class name for foreign errors."""
    return error.wire_type if isinstance(error, SagaError) else type(error).__name__
