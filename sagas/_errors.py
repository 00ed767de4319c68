"""What can go wrong, as one tree; each class exists because a caller acts differently on it.

::

    SagaError
    ├── DefinitionError      the saga is badly written: mend the code
    ├── RejectedError        a participant refused: it did not happen, and another try would not help
    ├── UnknownOutcomeError  nobody can say whether it happened: it is compensated, as it may have
    ├── DeadlineError        what was waited for did not come, or the saga took too long
    ├── TurnedBackError      an operator had the saga compensate
    ├── StartError           a saga was not started; nothing has happened
    │   └── DuplicateSagaError  its id belongs to a saga with other content
    ├── SagaNotFoundError    the server has no saga with this id: check the id
    ├── VerbRefusedError     the saga's state does not allow an operator's verb; nothing has changed
    └── NoWorkerError        no worker executed a verb in time: start a worker; the verb may still be executed
"""

from typing import ClassVar


class SagaError(Exception):
    """The root of every error of this package.

    The `wire_type` of a class is the name of the error in histories, in what is sent, and in what is stored.
    Each class of this project states its own, so that a class can be renamed and its `wire_type` stays. A
    class that states none, such as one of a user, has its own name.
    """

    wire_type: ClassVar[str] = "SagaError"

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "wire_type" not in cls.__dict__:
            cls.wire_type = cls.__name__


class DefinitionError(SagaError):
    """A saga, a step or a policy is badly written; raised when it is constructed, before anything ran."""

    wire_type = "DefinitionError"


class RejectedError(SagaError):
    """An action was refused for good: it did not happen, it has no effect, and it is not compensated.

    Business code raises it to refuse an action. `saga.step` raises it into the saga when a participant
    refused.

    Args:
        code: Stable and machine-readable, in snake case: `card_declined`.
        reason: One sentence for people.
        field: The input that broke a rule, as a dotted path, where there is one: `amount.value`.
    """

    wire_type = "RejectedError"

    def __init__(self, code: str, reason: str, field: str | None = None) -> None:
        super().__init__(code, reason, field)
        self.code, self.reason, self.field = code, reason, field

    def __str__(self) -> str:
        where = f" ({self.field})" if self.field else ""
        return f"{self.code}{where}: {self.reason}"


class UnknownOutcomeError(SagaError):
    """An action was tried as often as its policy allows, and nobody can say whether it happened."""

    wire_type = "UnknownOutcomeError"

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(step, reason)
        self.step, self.reason = step, reason

    def __str__(self) -> str:
        return f"the outcome of step {self.step!r} is unknown: {self.reason}"


class DeadlineExceededError(SagaError):
    """What was waited for did not come in time, or the saga took longer than it may."""

    wire_type = "DeadlineError"

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return f"{self.what} ran out of time"


class CompensationRequestedError(SagaError):
    """An operator had the saga compensate."""

    wire_type = "TurnedBackError"

    def __init__(self, by: str, because: str) -> None:
        super().__init__(by, because)
        self.by, self.because = by, because

    def __str__(self) -> str:
        return f"{self.by} had it compensated: {self.because}"


class TooLateError(DefinitionError):
    """Something comes where it may not any more; who asks for it in a handler could not know."""

    wire_type = "TooLateError"


class ChildOutcomeUnknownError(SagaError):
    """A child ended without a word about what it owes: it was terminated, or ran into a timeout."""

    wire_type = "Lost"


class StartError(SagaError):
    """A saga could not be started; nothing has happened."""

    wire_type = "StartError"


class DuplicateSagaError(StartError):
    """A saga with this id was started before, with other content."""

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
    """The state of a saga does not allow the verb of an operator; nothing has changed.

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


def wire_type_of(error: BaseException) -> str:
    """The name of an error on the wire: its `wire_type`, or for an error of another package its class."""
    return error.wire_type if isinstance(error, SagaError) else type(error).__name__
