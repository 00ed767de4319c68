"""What can go wrong between participants, and inside one.

::

    SagaError
    ├── ContractError        business code is badly written: mend it
    ├── BusUnavailableError  try again later
    ├── UnroutableError      a queue is missing: declare the topology
    ├── TopologyError        a queue has another shape: a person has to look at it
    └── DeadLetterError      an event is put aside, with this reason
"""

from sagas import SagaError


class ContractError(SagaError):
    """Business code broke the contract of its operation: nothing was committed; mend the code."""

    wire_type = "ContractError"


class BusUnavailableError(SagaError):
    """The broker cannot be reached, or did not answer in time; what was published may have arrived."""

    wire_type = "BusUnavailableError"


class UnroutableError(SagaError):
    """Nobody hears an event that somebody should hear: a queue is missing."""

    wire_type = "UnroutableError"


class TopologyError(SagaError):
    """A queue or an exchange exists on the broker in another shape."""

    wire_type = "TopologyError"


class DeadLetterError(SagaError):
    """An event cannot be handled, now or later; it is put aside with this reason."""

    wire_type = "DeadLetterError"


def wire_type_of(error: BaseException) -> str:
    """The name of an error in what is stored or sent; for an error of another package, that of its class."""
    return error.wire_type if isinstance(error, SagaError) else type(error).__name__
