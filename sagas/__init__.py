"""Sagas in Temporal workflows: the names that the author of a workflow needs.

`sagas.operator` has the names for people and programs that list, inspect and repair sagas.
"""

from ._client.saga_handle import SagaHandle
from ._client.start import execute_saga, start_saga
from ._client.start_options import StartOptions
from ._core.compensation import CompensationOrder, CompensationScope, OnStuck
from ._core.ids import idempotency_key
from ._core.saga_outcome import Compensated, Completed, CutOff, ResolvedStep, SagaOutcome, Settled
from ._declarations.activity_options import ActivityOptions
from ._declarations.data_access import DataAccess
from ._declarations.operation import Operation
from ._declarations.probe_result import ProbeResult
from ._declarations.step import Action, ConfirmableAction, IrreversibleStep, Step, action
from ._errors import (
    CompensationRequestedError,
    DeadlineExceededError,
    DefinitionError,
    DuplicateSagaError,
    FailureKind,
    RejectedError,
    SagaError,
    SectionCompensatedError,
    StartError,
    UnknownOutcomeError,
)
from ._messages.approvals import ApprovalDecision
from ._messages.external_events import ExpectedEvent
from ._plugin.plugin import SagaPlugin
from ._validation import InvalidField, invalid_fields
from ._version import __version__
from ._wire.failures import SAGA_COMPENSATED, SAGA_SETTLED
from ._workflow.parallel import OnFailure
from ._workflow.saga import Saga
from ._workflow.section import Section

__all__ = [
    "SAGA_COMPENSATED",
    "SAGA_SETTLED",
    "Action",
    "ActivityOptions",
    "ApprovalDecision",
    "Compensated",
    "CompensationOrder",
    "CompensationRequestedError",
    "CompensationScope",
    "Completed",
    "ConfirmableAction",
    "CutOff",
    "DataAccess",
    "DeadlineExceededError",
    "DefinitionError",
    "DuplicateSagaError",
    "ExpectedEvent",
    "FailureKind",
    "InvalidField",
    "IrreversibleStep",
    "OnFailure",
    "OnStuck",
    "Operation",
    "ProbeResult",
    "RejectedError",
    "ResolvedStep",
    "Saga",
    "SagaError",
    "SagaHandle",
    "SagaOutcome",
    "SagaPlugin",
    "Section",
    "SectionCompensatedError",
    "Settled",
    "StartError",
    "StartOptions",
    "Step",
    "UnknownOutcomeError",
    "__version__",
    "action",
    "execute_saga",
    "idempotency_key",
    "invalid_fields",
    "start_saga",
]
