"""How an attempt ended: done, rejected, or unknown; told from what Temporal reports."""

from collections.abc import Collection, Mapping
from types import TracebackType
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
    RejectedError,
    UnknownOutcomeError,
    wire_type_of,
)

REJECTED = "Rejected"
"""The type of the application error with which an activity says that its action was refused for good."""

SAGA_COMPENSATED = "SagaCompensated"
"""The type of the application error with which a compensated saga ends; its details are the code, the
reason and the field of the first failure."""

SAGA_SETTLED = "SagaSettled"
"""As `SagaCompensated`, of a saga some of whose compensations were skipped or done by hand; the fourth detail
says which, as an object of address and what was done."""

SAGA_UNACCOUNTED = "SagaUnaccounted"
"""The type of the application error of a child that failed after activities which belong to no saga."""

_WORDLESS = frozenset({SAGA_UNACCOUNTED, DefinitionError.wire_type, DefinitionError.__name__})
"""The types of application errors with which a child closes without saying what it owes.

Temporal's SDK itself writes the type of a `DefinitionError` that ends a workflow, and takes the name of the
class for it; histories may have the name that the class had when they were written.
"""
_NONDETERMINISM = "[TMPRL1100]"
"""How Temporal begins the message of such an error, which has no type."""

SAGA_REFUSED = "SagaRefused"
"""The type of the application error of what is refused at the door: a start that could lose compensations, a
verb or an event that comes at the wrong time, a payload that cannot be read."""

NO_WORKER = "no_worker"
"""The code of what no worker has taken in time."""

CHILD_LOST = "child_lost"
"""The code of a child that ended without a word about what it owes."""

OURS = f"{__name__.partition('.')[0]}."
LONGEST_REASON = 2_000
LARGEST_CAUSE = 256 * 1024
"""Characters; Temporal wedges a workflow whose failure has more than 2 MiB."""


def to_application_error(error: RejectedError) -> ApplicationError:
    """A refusal as Temporal carries it; `outcome_of_failure` is the way back."""
    return ApplicationError(
        _cut(error.reason),
        _cut(error.code),
        error.field and _cut(error.field),
        type=REJECTED,
        non_retryable=True,
        category=ApplicationErrorCategory.BENIGN,
    )


def compensated(error: BaseException, by_hand: Mapping[str, str]) -> ApplicationError:
    """What a compensated saga fails with: its first failure, as code, reason and field.

    Args:
        error: What made the saga turn round.
        by_hand: The compensations that a person has settled, and how.
    """
    is_expected = isinstance(error, (RejectedError, DeadlineExceededError, CompensationRequestedError))
    first: tuple[str, str, str | None]
    text = str(error)[:LONGEST_REASON]
    match error:
        case RejectedError():
            first = (_cut(error.code), _cut(error.reason), error.field and _cut(error.field))
        case UnknownOutcomeError():
            first = ("unknown_outcome", text, None)
        case DeadlineExceededError():
            first = ("deadline_exceeded", text, None)
        case CompensationRequestedError():
            first = ("turned_back", text, None)
        case ChildOutcomeUnknownError():
            first = (CHILD_LOST, text, None)
        case _:
            first = (wire_type_of(error), text, None)
    return ApplicationError(
        text or wire_type_of(error),
        *first,
        *([dict(by_hand)] if by_hand else []),
        type=SAGA_SETTLED if by_hand else SAGA_COMPENSATED,
        non_retryable=True,
        category=ApplicationErrorCategory.BENIGN if is_expected else ApplicationErrorCategory.UNSPECIFIED,
    )


def _cut(text: str) -> str:
    """So long that it arrives; made text if it is none, as a refusal must not become something else."""
    return str(text)[:LONGEST_REASON]


def reports_pending(error: ApplicationError) -> bool:
    """Whether a child that closes with it has made up for what it did.

    One whose workflow has `failure_exception_types` closes with bugs, too, wherever it stands.
    """
    is_of_temporal = not error.type and error.message.startswith(_NONDETERMINISM)
    return error.type not in _WORDLESS and not is_of_temporal


def trimmed_cause(error: BaseException) -> BaseException | None:
    """The error as the cause of a failure; `None` if it would wedge the workflow that fails with it.

    Its traceback says where in the workflow it was raised. The SDK's own frames are left out: they say
    nothing to who reads it, and are most of what it costs to write it down.
    """
    size = 0
    link: BaseException | None = error
    while link is not None:
        details = link.details if isinstance(link, ApplicationError) else ()
        size += len(str(link)) + len(repr(details))
        link = link.__cause__
    if size > LARGEST_CAUSE:
        return None
    return error.with_traceback(_outside_of_sagas(error.__traceback__))


def _outside_of_sagas(traceback: TracebackType | None) -> TracebackType | None:
    if traceback is None:
        return None
    rest = _outside_of_sagas(traceback.tb_next)
    if str(traceback.tb_frame.f_globals.get("__name__")).startswith(OURS):
        return rest
    return TracebackType(rest, traceback.tb_frame, traceback.tb_lasti, traceback.tb_lineno)


def outcome_of_failure(
    error: ActivityError, rejections: frozenset[str], *, attempts: int, non_retryable: Collection[str] = ()
) -> ActivityOutcome:
    """What a failed activity says about its action.

    Args:
        error: As it arrives in the workflow.
        rejections: The error types that mean a refusal, besides `Rejected`.
        attempts: How often the activity was tried at most. With a single attempt, one that never
            reached a worker cannot have begun.
        non_retryable: The error types after which no further attempt is made.
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
        was_taken = cause.type is not TimeoutType.SCHEDULE_TO_START
        code, reason = ("", "no answer came") if was_taken else (NO_WORKER, "no worker has taken it")
        return ActivityOutcome(Outcome.UNKNOWN, code=code, reason=f"{reason} in time")
    return ActivityOutcome(Outcome.UNKNOWN, reason=str(cause or error)[:LONGEST_REASON])
