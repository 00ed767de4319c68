"""Sagas that keep their promises: what a saga is, and what happens next."""

from ._errors import (
    DefinitionError,
    DuplicateSagaError,
    RejectedError,
    SagaError,
    StartError,
    UnknownOutcomeError,
)
from ._operation import Operation

__all__ = [
    "DefinitionError",
    "DuplicateSagaError",
    "Operation",
    "RejectedError",
    "SagaError",
    "StartError",
    "UnknownOutcomeError",
]
