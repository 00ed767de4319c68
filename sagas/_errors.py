"""The tree of errors; a class exists where a caller acts differently.

::

    SagaError
    ├── DefinitionError             a saga, a step or a call is badly written: fix the code
    │   └── TooLateError            a call or a message came too late for the phase of the saga
    ├── RejectedError               a participant rejected the action: no effect, and a retry would not help
    │   ├── ChildCompensatedError   a child saga failed and has compensated; in `_workflow/child_saga.py`
    │   └── SectionCompensatedError a section failed and has compensated: the saga can go another way
    ├── UnknownOutcomeError         the action may have happened: the saga compensates the step
    ├── DeadlineExceededError       an awaited message was overdue, or the saga took too long
    ├── CompensationRequestedError  an operator requested the compensation of the saga
    ├── ChildOutcomeUnknownError    a child closed without reporting pending compensations: check the child
    ├── StartError                  the saga was not started, and has no effect
    │   └── DuplicateSagaError      another saga with other content has the id: choose another id
    ├── SagaNotFoundError           the server has no saga with the id: check the id
    ├── VerbRefusedError            the saga's state does not allow an operator's verb; the saga is unchanged
    ├── NoWorkerError               no worker ran a verb in time: start a worker; the verb may still run
    └── WireFormatError             another version of this SDK wrote the data: use that version
"""

from enum import StrEnum
from typing import ClassVar


class FailureKind(StrEnum):
    """The kind of the failure for which a saga has compensated, for the parent of the saga."""

    REJECTED = "rejected"
    """A participant rejected an action, or a person decided against the saga."""
    UNKNOWN = "unknown"
    """The outcome of an action or of a child is unknown."""
    TIMED_OUT = "timed-out"
    """An external event or an approval was overdue, or the saga took too long."""
    CANCELLED = "cancelled"
    """The saga was cancelled."""
    COMPENSATION_REQUESTED = "compensation-requested"
    """An operator requested the compensation."""
    FAILED = "failed"
    """The code of the saga raised another error; the code of the failure is the type of the error."""


class SagaError(Exception):
    """The root of all errors of this package.

    The `wire_type` of a class is the name of the error in histories, messages and stored data. Each class of
    this project declares a `wire_type`, so that the class can be renamed without a change on the wire. A
    class without a declared `wire_type`, for example a user's class, has the name of the class.
    """

    wire_type: ClassVar[str] = "SagaError"

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "wire_type" not in cls.__dict__:
            cls.wire_type = cls.__name__


class DefinitionError(SagaError):
    """A saga, a step or a policy is badly written; raised by the constructor, before any step has run."""

    wire_type = "DefinitionError"


class RejectedError(SagaError):
    """An action was rejected for good: the action has no effect, and is not compensated.

    Business code raises this error to reject an action. `saga.step` raises this error into the saga when a
    participant has rejected the action.

    Args:
        code: Stable and machine-readable, in snake case: `card_declined`.
        reason: One sentence for people.
        field: The invalid input as a dotted path, if the rejection has a cause in the input: `amount.value`.
    """

    wire_type = "RejectedError"
    kind: FailureKind = FailureKind.REJECTED
    """The kind of the failure; `saga.child` and `saga.pivot_child` raise this error for every kind."""

    def __init__(self, code: str, reason: str, field: str | None = None) -> None:
        super().__init__(code, reason, field)
        self.code, self.reason, self.field = code, reason, field

    def __str__(self) -> str:
        where = f" ({self.field})" if self.field else ""
        return f"{self.code}{where}: {self.reason}"


class SectionCompensatedError(RejectedError):
    """A section of a saga failed and has compensated: the steps of the section have no effect.

    Args:
        section: The address of the section.
        code: The code of the failure; `deadline_exceeded` when the timeout of the section was over.
        reason: The reason of the failure.
        field: The invalid input as a dotted path, if the failure has a cause in the input.
    """

    wire_type = "SectionCompensatedError"

    def __init__(self, section: str, code: str, reason: str, field: str | None = None) -> None:
        super().__init__(code, reason, field)
        self.args = (section, code, reason, field)
        self.section = section


class UnknownOutcomeError(SagaError):
    """All attempts of an action have failed, and the action may have happened."""

    wire_type = "UnknownOutcomeError"

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(step, reason)
        self.step, self.reason = step, reason

    def __str__(self) -> str:
        return f"the outcome of step {self.step!r} is unknown: {self.reason}"


class DeadlineExceededError(SagaError):
    """An external event, an approval or a reply did not arrive in time, or the saga exceeded the timeout."""

    wire_type = "DeadlineExceededError"

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return f"{self.what} ran out of time"


class CompensationRequestedError(SagaError):
    """An operator requested the compensation of the saga."""

    wire_type = "CompensationRequestedError"

    def __init__(self, by: str, because: str) -> None:
        super().__init__(by, because)
        self.by, self.because = by, because

    def __str__(self) -> str:
        return f"{self.by} had it compensated: {self.because}"


class TooLateError(DefinitionError):
    """A call or a message came too late; the code of a handler cannot prevent a late call."""

    wire_type = "TooLateError"


class ChildOutcomeUnknownError(SagaError):
    """A child ended without reporting pending compensations: the child was terminated or timed out."""

    wire_type = "ChildOutcomeUnknownError"


class StartError(SagaError):
    """A saga was not started; no step has run."""

    wire_type = "StartError"


class DuplicateSagaError(StartError):
    """Another saga with this id and other content was started before."""

    wire_type = "DuplicateSagaError"

    def __init__(self, saga_id: str) -> None:
        super().__init__(saga_id)
        self.saga_id = saga_id

    def __str__(self) -> str:
        return (
            f"saga {self.saga_id!r} was already started with other content; "
            "start it with the same content to get that saga, or choose another id"
        )


class SagaNotFoundError(SagaError):
    """The server has no saga with this id, or has deleted the saga after the retention period.

    Args:
        saga_id: The id.
        rescued: The rescued saga, if the id is the id of a rescue; else empty.
    """

    wire_type = "SagaNotFoundError"

    def __init__(self, saga_id: str, rescued: str = "") -> None:
        super().__init__(saga_id, rescued)
        self.saga_id, self.rescued = saga_id, rescued

    def __str__(self) -> str:
        kind = (
            f"rescue {self.saga_id!r} of saga {self.rescued!r}" if self.rescued else f"saga {self.saga_id!r}"
        )
        return (
            f"{kind} was not found; check the id (the server deletes closed sagas after the retention period)"
        )


class VerbRefusedError(SagaError):
    """The state of a saga does not allow the verb of an operator; the saga is unchanged.

    Args:
        saga_id: The id of the saga.
        verb: The verb: `hold`, `skip`.
        reason: The reason, as a sentence without a full stop.
    """

    wire_type = "VerbRefusedError"

    def __init__(self, saga_id: str, verb: str, reason: str) -> None:
        super().__init__(saga_id, verb, reason)
        self.saga_id, self.verb, self.reason = saga_id, verb, reason

    def __str__(self) -> str:
        return f"{self.verb!r} was refused for saga {self.saga_id!r}: {self.reason}"


class NoWorkerError(SagaError):
    """No worker executed the verb of an operator in time; a worker may still execute the verb later.

    Args:
        saga_id: The id of the saga.
        verb: The verb: `hold`, `skip`.
        seconds: The timeout.
    """

    wire_type = "NoWorkerError"

    def __init__(self, saga_id: str, verb: str, seconds: float) -> None:
        super().__init__(saga_id, verb, seconds)
        self.saga_id, self.verb, self.seconds = saga_id, verb, seconds

    def __str__(self) -> str:
        return (
            f"no worker executed {self.verb!r} for saga {self.saga_id!r} within {self.seconds:g} s; start a "
            "worker, and check the saga before you repeat the request, which may still be executed"
        )


class WireFormatError(SagaError):
    """Stored data has the wire format of another version of this SDK; the data was not read.

    A worker of that version can run the saga; a workflow task that raises this error is retried until then.

    Args:
        subject: The history, or the name of the stored model: `ContinuedState`.
        found: The format version of the data; 1 for data without a number.
        expected: The format version of this SDK.
    """

    wire_type = "WireFormatError"

    def __init__(self, subject: str, found: object, expected: int) -> None:
        super().__init__(subject, found, expected)
        self.subject, self.found, self.expected = subject, found, expected

    def __str__(self) -> str:
        return (
            f"{self.subject} has wire format {self.found!r}, and this version of sagas reads wire format "
            f"{self.expected}: use the version of sagas that started the saga"
        )


def wire_type_of(error: BaseException) -> str:
    """Returns the `wire_type` of an error, or the class name for an error of another package."""
    return error.wire_type if isinstance(error, SagaError) else type(error).__name__
