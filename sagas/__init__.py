"""Sagas that keep their promises: what a saga is, and what happens next."""

from ._client.start import start_saga
from ._core.activity_policy import Policy
from ._core.compensation import CompensationOrder, Scope
from ._core.ids import idempotency_key
from ._core.status import Status
from ._declarations.operation import Operation
from ._declarations.probe_result import Finding
from ._declarations.step import Action, Step, action
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
from ._execution.activity_call import MESSAGE_TOO_LARGE, MESSAGE_UNREADABLE
from ._history.preview import Preview
from ._history.timeline import Timeline
from ._messages.external_events import NOT_APPROVED, Decision, Expected
from ._plugin.plugin import SagaPlugin
from ._temporal.metrics import METRIC_BUCKETS
from ._wire.failures import SAGA_COMPENSATED, SAGA_REFUSED, SAGA_SETTLED
from ._wire.operator_requests import (
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
from ._wire.search_attribute import SAGA_STATUS
from ._workflow.parallel import OnFailure
from ._workflow.saga import Saga
from .operator._client import SagaClient
from .operator._render_mermaid import timeline_mermaid
from .operator._render_text import list_text, preview_text, timeline_text
from .operator._rescue import Rescue
from .operator._search import SagaSummary

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
