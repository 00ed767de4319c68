"""Sagas that keep their promises: what a saga is, and what happens next."""

from ._attempt import MESSAGE_TOO_LARGE, MESSAGE_UNREADABLE
from ._branches import OnFailure
from ._errors import (
    DeadlineError,
    DefinitionError,
    DuplicateSagaError,
    RejectedError,
    SagaError,
    StartError,
    TurnedBackError,
    UnknownOutcomeError,
)
from ._finding import Finding
from ._keys import idempotency_key
from ._ledger import CompensationOrder, Scope
from ._mailbox import NOT_APPROVED, Decision, Expected
from ._metrics import METRIC_BUCKETS
from ._operation import Operation
from ._plugin import SagaPlugin
from ._policy import Policy
from ._saga import Saga
from ._start import start_saga
from ._status import SAGA_STATUS, Status
from ._steps import Action, Step, action
from ._verbs import (
    APPROVE,
    COMPENSATE,
    COMPLETE,
    HOLD,
    RESUME,
    RETRY,
    SKIP,
    ApprovalRequest,
    AuditEntry,
    Authorize,
    CompleteRequest,
    OperatorNote,
    SkipRequest,
)
from ._verdict import SAGA_COMPENSATED, SAGA_REFUSED, SAGA_SETTLED

__all__ = [
    "APPROVE",
    "COMPENSATE",
    "COMPLETE",
    "HOLD",
    "MESSAGE_TOO_LARGE",
    "MESSAGE_UNREADABLE",
    "METRIC_BUCKETS",
    "NOT_APPROVED",
    "RESUME",
    "RETRY",
    "SAGA_COMPENSATED",
    "SAGA_REFUSED",
    "SAGA_SETTLED",
    "SAGA_STATUS",
    "SKIP",
    "Action",
    "ApprovalRequest",
    "AuditEntry",
    "Authorize",
    "CompensationOrder",
    "CompleteRequest",
    "DeadlineError",
    "Decision",
    "DefinitionError",
    "DuplicateSagaError",
    "Expected",
    "Finding",
    "OnFailure",
    "Operation",
    "OperatorNote",
    "Policy",
    "RejectedError",
    "Saga",
    "SagaError",
    "SagaPlugin",
    "Scope",
    "SkipRequest",
    "StartError",
    "Status",
    "Step",
    "TurnedBackError",
    "UnknownOutcomeError",
    "action",
    "idempotency_key",
    "start_saga",
]
