"""The error of a test whose saga or script is at fault."""

from .._errors import SagaError


class SagaTestError(SagaError, AssertionError):
    """The saga of a test differs from the expectation, the workflow code fails, or a script does not fit."""
