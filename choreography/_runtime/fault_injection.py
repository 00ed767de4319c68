"""Fault injection around the transaction of an event, for tests and demonstrations."""

from typing import Protocol

from .._transaction.operation_executor import OperationRequest


class FaultInjector(Protocol):
    """Delays or fails events around their transactions, as a network fails the requests of an orchestrator.

    Every method is called with an operation that the event requests.
    """

    async def before_operation(self, request: OperationRequest) -> None:
        """Called before the transaction, at each delivery; may wait.

        Raises:
            Exception: The event is redelivered later.
        """
        ...

    def is_outcome_known(self, request: OperationRequest) -> bool:
        """Whether the participant learns the outcome of an operation; false makes the outcome unknown."""
        ...

    async def after_commit(self, request: OperationRequest) -> None:
        """Called after the commit, when the event was processed for the first time.

        Raises:
            Exception: The event is redelivered and has no further effect.
        """
        ...


class NoFaults:
    """Injects no fault, as in production."""

    async def before_operation(self, request: OperationRequest) -> None:
        """Returns at once."""

    def is_outcome_known(self, request: OperationRequest) -> bool:
        """Knows every outcome: the business code runs in the participant's own transaction."""
        del request
        return True

    async def after_commit(self, request: OperationRequest) -> None:
        """Returns at once."""
