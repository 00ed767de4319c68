"""Sagas that keep their promises: what a saga is, and what happens next."""

from ._errors import (
    DefinitionError,
    DuplicateSagaError,
    RejectedError,
    SagaError,
    StartError,
    UnknownOutcomeError,
)
from ._keys import idempotency_key
from ._ledger import Scope
from ._operation import Operation
from ._plugin import SagaPlugin
from ._policy import Policy
from ._saga import Saga
from ._start import start_saga
from ._status import SAGA_STATUS, Status
from ._steps import Action, Step, action
from ._verbs import RETRY, OperatorNote
from ._verdict import SAGA_COMPENSATED, SAGA_REFUSED

__all__ = [
    "RETRY",
    "SAGA_COMPENSATED",
    "SAGA_REFUSED",
    "SAGA_STATUS",
    "Action",
    "DefinitionError",
    "DuplicateSagaError",
    "Operation",
    "OperatorNote",
    "Policy",
    "RejectedError",
    "Saga",
    "SagaError",
    "SagaPlugin",
    "Scope",
    "StartError",
    "Status",
    "Step",
    "UnknownOutcomeError",
    "action",
    "idempotency_key",
    "start_saga",
]
