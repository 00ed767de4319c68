"""What operators need: a client with verbs, the models of its results, and their rendering as text."""

from .._core.effect_class import EffectClass
from .._core.lifecycle import ManualResolution
from .._core.outcome import Outcome
from .._core.saga_outcome import PlannedCompensation, RemainingEffect
from .._core.status import Status
from .._errors import NoWorkerError, SagaNotFoundError, VerbRefusedError, WireFormatError
from .._history.closure import CloseStatus
from .._history.ledger_rebuild import RecoveryDirection
from .._history.preview import PlannedConfirmation, Preview
from .._history.saga_record import ForeignKind
from .._history.timeline import (
    CancelRequest,
    CompensationLine,
    CompensationState,
    ConfirmationLine,
    ForeignLine,
    PendingWait,
    StepLine,
    TaskFailure,
    Timeline,
)
from .._temporal.metrics import METRIC_BUCKETS
from .._wire.operator_requests import (
    APPROVE,
    COMPENSATE,
    COMPENSATION_REQUESTED,
    COMPLETE,
    HOLD,
    RESUME,
    RETRY,
    SKIP,
    ApproveRequest,
    AuditEntry,
    Authorize,
    CompleteRequest,
    OperatorRequest,
    SkipRequest,
)
from .._wire.rescue import RESCUE_TYPE
from .._wire.search_attribute import SAGA_STATUS
from ._client import SagaClient
from ._render_mermaid import render_mermaid
from ._render_text import render_list, render_preview, render_timeline
from ._rescue import Rescue, RescueDecision
from ._saga_list import SagaSummary

__all__ = [
    "APPROVE",
    "COMPENSATE",
    "COMPENSATION_REQUESTED",
    "COMPLETE",
    "HOLD",
    "METRIC_BUCKETS",
    "RESCUE_TYPE",
    "RESUME",
    "RETRY",
    "SAGA_STATUS",
    "SKIP",
    "ApproveRequest",
    "AuditEntry",
    "Authorize",
    "CancelRequest",
    "CloseStatus",
    "CompensationLine",
    "CompensationState",
    "CompleteRequest",
    "ConfirmationLine",
    "EffectClass",
    "ForeignKind",
    "ForeignLine",
    "ManualResolution",
    "NoWorkerError",
    "OperatorRequest",
    "Outcome",
    "PendingWait",
    "PlannedCompensation",
    "PlannedConfirmation",
    "Preview",
    "RecoveryDirection",
    "RemainingEffect",
    "Rescue",
    "RescueDecision",
    "SagaClient",
    "SagaNotFoundError",
    "SagaSummary",
    "SkipRequest",
    "Status",
    "StepLine",
    "TaskFailure",
    "Timeline",
    "VerbRefusedError",
    "WireFormatError",
    "render_list",
    "render_mermaid",
    "render_preview",
    "render_timeline",
]
