"""Sagas that keep their promises: what a saga is, and what happens next."""

from ._client.start import start_saga
from ._core.activity_policy import ActivityPolicy
from ._core.compensation import CompensationOrder, CompensationScope
from ._core.ids import idempotency_key
from ._core.status import Status
from ._declarations.operation import Operation
from ._declarations.probe_result import ProbeResult
from ._declarations.step import Action, Step, action
from ._errors import (
    CompensationRequestedError,
    DeadlineExceededError,
    DefinitionError,
    DuplicateSagaError,
    NoWorkerError,
    RejectedError,
    SagaError,
    SagaNotFoundError,
    StartError,
    UnknownOutcomeError,
    VerbRefusedError,
)
from ._execution.activity_call import MESSAGE_TOO_LARGE, MESSAGE_UNREADABLE
from ._history.preview import Preview
from ._history.timeline import Timeline
from ._messages.approvals import NOT_APPROVED, ApprovalDecision
from ._messages.external_events import ExpectedEvent
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
from .operator._render_mermaid import render_mermaid
from .operator._render_text import render_list, render_preview, render_timeline
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
    "ActivityPolicy",
    "ApprovalDecision",
    "ApprovalRequest",
    "AuditEntry",
    "Authorize",
    "CompensationOrder",
    "CompensationRequestedError",
    "CompensationScope",
    "CompleteRequest",
    "DeadlineExceededError",
    "DefinitionError",
    "DuplicateSagaError",
    "ExpectedEvent",
    "NoWorkerError",
    "OnFailure",
    "Operation",
    "OperatorNote",
    "Preview",
    "ProbeResult",
    "RejectedError",
    "Rescue",
    "Saga",
    "SagaClient",
    "SagaError",
    "SagaNotFoundError",
    "SagaPlugin",
    "SagaSummary",
    "SkipRequest",
    "StartError",
    "Status",
    "Step",
    "Timeline",
    "UnknownOutcomeError",
    "VerbRefusedError",
    "action",
    "idempotency_key",
    "render_list",
    "render_mermaid",
    "render_preview",
    "render_timeline",
    "start_saga",
]
