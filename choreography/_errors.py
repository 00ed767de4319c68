"""The one thing that can go wrong with a participant's own code."""

from sagas import SagaError


class ContractError(SagaError):
    """Business code broke the contract of its operation: nothing was committed; mend the code."""
