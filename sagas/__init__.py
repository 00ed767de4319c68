"""Sagas that keep their promises: what a saga is, and what happens next."""

from ._errors import (
    DeadlineError,
    DefinitionError,
    DuplicateSagaError,
    NoWorkerError,
    RejectedError,
    SagaError,
    SagaNotFoundError,
    StartError,
    TurnedBackError,
    UnknownOutcomeError,
    VerbRefusedError,
)
from ._finding import Finding
from ._history.preview import Preview
from ._history.timeline import Timeline
from ._keys import idempotency_key
from ._ledger import CompensationOrder, Scope
from ._metrics import METRIC_BUCKETS
from ._operation import Operation
from ._operator.client import SagaClient
from ._operator.mermaid import timeline_mermaid
from ._operator.rescuing import Rescue
from ._operator.search import SagaSummary
from ._operator.telling import list_text, preview_text, timeline_text
from ._plugin import SagaPlugin
from ._policy import Policy
from ._scope.attempt import MESSAGE_TOO_LARGE, MESSAGE_UNREADABLE
from ._scope.branches import OnFailure
from ._scope.mailbox import NOT_APPROVED, Decision, Expected
from ._scope.saga import Saga
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
    "NoWorkerError",
    "OnFailure",
    "Operation",
    "OperatorNote",
    "Policy",
    "Preview",
    "RejectedError",
    "Rescue",
    "Saga",
    "SagaClient",
    "SagaError",
    "SagaNotFoundError",
    "SagaPlugin",
    "SagaSummary",
    "Scope",
    "SkipRequest",
    "StartError",
    "Status",
    "Step",
    "Timeline",
    "TurnedBackError",
    "UnknownOutcomeError",
    "VerbRefusedError",
    "action",
    "idempotency_key",
    "list_text",
    "preview_text",
    "start_saga",
    "timeline_mermaid",
    "timeline_text",
]
