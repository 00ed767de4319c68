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


class BusUnavailableError(SagaError):
    """The broker cannot be reached, or did not answer in time; what was published may have arrived."""


class UnroutableError(SagaError):
    """Nobody hears an event that somebody should hear: a queue is missing."""


class TopologyError(SagaError):
    """A queue or an exchange exists on the broker in another shape."""


class DeadLetterError(SagaError):
    """An event cannot be handled, now or later; it is put aside with this reason."""
