"""Translation between Temporal's failures and the outcomes of actions: done, rejected, unknown."""

import asyncio
import builtins
from collections.abc import Collection, Mapping, Sequence
from typing import cast

from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ApplicationErrorCategory,
    CancelledError,
    TimeoutError,  # noqa: A004 - Temporal's, in its own words
    TimeoutType,
)

from .._core.activity_outcome import ActivityOutcome
from .._core.outcome import Outcome
from .._errors import (
    ChildOutcomeUnknownError,
    CompensationRequestedError,
    DeadlineExceededError,
    DefinitionError,
    FailureKind,
    RejectedError,
    TooLateError,
    UnknownOutcomeError,
    WireFormatError,
    wire_type_of,
)
from .error_text import error_text, text_of
from .reportable_error import first_frames, reportable, size_of_report

REJECTED = "Rejected"
"""The type of the application error of an activity whose action was rejected."""

SAGA_COMPENSATED = "SagaCompensated"
"""The type of the application error of a compensated saga; the details are the code, the reason and the field
of the first failure, the manual resolutions, and the kind of the failure unless the code implies the kind."""

SAGA_SETTLED = "SagaSettled"
"""Like `SagaCompensated`, for a saga with manually resolved compensations; the fourth detail is an object
with the resolution of each address."""

SAGA_FOREIGN_WORK = "SagaForeignWork"
"""The type of the application error of a child that failed after activities outside of the saga."""

SAGA_FOREIGN_ACTIVITY = "SagaForeignActivity"
"""The type of the application error of refused work that belongs to no step of an open saga."""

_WITHOUT_PENDING = frozenset(
    {SAGA_FOREIGN_WORK, DefinitionError.wire_type, TooLateError.wire_type, WireFormatError.wire_type}
)
"""The types of application errors of children that closed without reporting pending compensations.

For an error of this package that ends a workflow, Temporal's SDK uses the name of the class as the type.
"""
_NONDETERMINISM = "[TMPRL1100]"
"""The beginning of the message of Temporal's nondeterminism errors, which have no type."""

SAGA_REFUSED = "SagaRefused"
"""The type of the application error of refused requests: a start that could lose compensations, a verb or an
event at the wrong time, a payload that cannot be decoded."""

NO_WORKER = "no_worker"
"""The code of an activity that no worker has started in time."""

CHILD_OUTCOME_UNKNOWN = "child_outcome_unknown"
"""The code of a child that ended without reporting pending compensations."""

_CODES: dict[type[BaseException], str] = {
    UnknownOutcomeError: "unknown_outcome",
    DeadlineExceededError: "deadline_exceeded",
    CompensationRequestedError: "compensation_requested",
    ChildOutcomeUnknownError: CHILD_OUTCOME_UNKNOWN,
}
"""The codes of a compensated saga, by the error that started the compensation."""
_KINDS_OF_CODES = {
    "unknown_outcome": FailureKind.UNKNOWN,
    "deadline_exceeded": FailureKind.TIMED_OUT,
    "compensation_requested": FailureKind.COMPENSATION_REQUESTED,
    CHILD_OUTCOME_UNKNOWN: FailureKind.UNKNOWN,
    "cancelled": FailureKind.CANCELLED,
}
"""The kinds that codes imply; every other code implies a rejection."""

OURS = f"{__name__.partition('.')[0]}."
LENGTH_WITH_KIND = 5
"""The number of details of an error with a kind."""
LONGEST_REASON = 2_000
LARGEST_CAUSE = 256 * 1024
"""Characters. A workflow whose failure has more than 2 MiB fails each workflow task."""


def to_application_error(error: RejectedError) -> ApplicationError:
    """Converts a rejection to Temporal's error; `outcome_of_failure` is the reverse."""
    return ApplicationError(
        _cut(error.reason),
        _cut(error.code),
        error.field and _cut(error.field),
        type=REJECTED,
        non_retryable=True,
        category=ApplicationErrorCategory.BENIGN,
    )


def compensated(error: BaseException, manual_resolutions: Mapping[str, str]) -> ApplicationError:
    """Returns the error that ends a compensated saga: the code, reason and field of the first failure.

    Args:
        error: The error that started the compensation.
        manual_resolutions: The manually resolved compensations, with the resolutions.
    """
    is_expected = isinstance(error, (RejectedError, DeadlineExceededError, CompensationRequestedError))
    first = first_failure(error)
    more: list[object] = [dict(manual_resolutions)] if manual_resolutions else []
    if (kind := kind_of(error)) is not _kind_of_code(first[0]):
        more = [dict(manual_resolutions), kind.value]
    return ApplicationError(
        error_text(error)[:LONGEST_REASON] or wire_type_of(error),
        *first,
        *more,
        type=SAGA_SETTLED if manual_resolutions else SAGA_COMPENSATED,
        non_retryable=True,
        category=ApplicationErrorCategory.BENIGN if is_expected else ApplicationErrorCategory.UNSPECIFIED,
    )


def first_failure(error: BaseException) -> tuple[str, str, str | None]:
    """Returns the code, the reason and the field of the error that started a compensation."""
    if isinstance(error, RejectedError):
        return (_cut(error.code), _cut(error.reason), error.field and _cut(error.field))
    code = next((code for kind, code in _CODES.items() if isinstance(error, kind)), "")
    if not code and isinstance(error, ApplicationError):
        code = _cut(error.type or "")
    code = code or wire_type_of(error)
    return (code, error_text(error)[:LONGEST_REASON], None)


def kind_in(details: Sequence[object]) -> FailureKind:
    """Reads the kind of a failure from the details of the error of a compensated saga."""
    if len(details) < LENGTH_WITH_KIND:
        return _kind_of_code(details[0])
    known = {kind.value: kind for kind in FailureKind}
    return known.get(text_of(details[4]), FailureKind.FAILED)


def _kind_of_code(code: object) -> FailureKind:
    return _KINDS_OF_CODES.get(text_of(code), FailureKind.REJECTED)


def kind_of(error: BaseException) -> FailureKind:
    """Returns the kind of the failure that an error stands for."""
    match error:
        case RejectedError():
            return error.kind
        case UnknownOutcomeError() | ChildOutcomeUnknownError():
            return FailureKind.UNKNOWN
        case DeadlineExceededError() | builtins.TimeoutError():
            return FailureKind.TIMED_OUT
        case CompensationRequestedError():
            return FailureKind.COMPENSATION_REQUESTED
        case CancelledError() | asyncio.CancelledError():
            return FailureKind.CANCELLED
        case _:
            return FailureKind.FAILED


def _cut(text: str) -> str:
    """Cuts a text to `LONGEST_REASON`; converts other values first, to keep a rejection a rejection."""
    return text_of(text)[:LONGEST_REASON]


def reports_pending(error: ApplicationError) -> bool:
    """Whether a child that closes with the error has reported the pending compensations.

    A workflow with `failure_exception_types` also closes with bugs, without compensation.
    """
    is_of_temporal = not error.type and error.message.startswith(_NONDETERMINISM)
    return error.type not in _WITHOUT_PENDING and not is_of_temporal


def trimmed_cause(error: BaseException) -> BaseException | None:
    """Returns a reportable form of the error as the cause of a failure, or `None` if the error is too large.

    A failure that is too large would block the workflow. The traceback shows the line of the workflow. The
    frames of this SDK are left out: the frames do not help readers, and are most of the cost of the
    serialization.
    """
    safe = reportable(error)
    if size_of_report(safe) > LARGEST_CAUSE:
        return None
    return safe.with_traceback(first_frames(safe.__traceback__, without=OURS))


def outcome_of_failure(
    error: ActivityError, rejections: frozenset[str], *, attempts: int, non_retryable: Collection[str] = ()
) -> ActivityOutcome:
    """Converts the failure of an activity to the outcome of the action.

    Args:
        error: The error that the workflow received.
        rejections: The error types that reject the action, besides `Rejected`.
        attempts: The maximum number of attempts. After a single attempt that never reached a worker, the
            action cannot have begun.
        non_retryable: The error types that end the attempts.
    """
    cause = error.cause
    if isinstance(cause, CancelledError):
        was_sent = error.scheduled_event_id != 0
        may_have_begun = was_sent and (attempts > 1 or error.started_event_id != 0)
        outcome = Outcome.UNKNOWN if may_have_begun else Outcome.WITHDRAWN
        return ActivityOutcome(outcome, reason="it was cancelled")
    if isinstance(cause, ApplicationError):
        if cause.type == REJECTED:
            # `to_application_error` gives both; an activity in another language may give fewer.
            details = (*cast("tuple[str | None, ...]", tuple(cause.details)), None, None)
            code, field = details[0] or "", details[1]
            return ActivityOutcome(
                Outcome.REJECTED, code=code, reason=cause.message, field=field, is_final=True
            )
        if cause.type in rejections:
            return ActivityOutcome(
                Outcome.REJECTED, code=cause.type or "", reason=cause.message, is_final=True
            )
        is_final = cause.non_retryable or cause.type in non_retryable
        return ActivityOutcome(
            Outcome.UNKNOWN, code=cause.type or "", reason=cause.message, is_final=is_final
        )
    if isinstance(cause, TimeoutError):
        was_started = cause.type is not TimeoutType.SCHEDULE_TO_START
        code, reason = (
            ("", "no response arrived") if was_started else (NO_WORKER, "no worker started the activity")
        )
        return ActivityOutcome(Outcome.UNKNOWN, code=code, reason=f"{reason} in time")
    return ActivityOutcome(Outcome.UNKNOWN, reason=error_text(cause or error)[:LONGEST_REASON])
