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
    ├── SagaNotFoundError    no saga has this id: look for the right one
    ├── VerbRefusedError     what an operator asked is not for this saga now; nothing has changed
    └── NoWorkerError        no worker answered in time: start one; it may still happen
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


class DeadlineError(SagaError):
    """What was waited for did not come in time, or the saga took longer than it may."""

    wire_type = "DeadlineError"

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return f"{self.what} ran out of time"


class TurnedBackError(SagaError):
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


class Lost(SagaError):  # noqa: N818 - a state of the child, which the scope turns into *stuck*
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
    """No saga has this id, or it is older than what the server keeps.

    Args:
        saga_id: The id.
        rescued: The saga whose rescue this would be, where it is the id of one.
    """

    wire_type = "SagaNotFoundError"

    def __init__(self, saga_id: str, rescued: str = "") -> None:
        super().__init__(saga_id, rescued)
        self.saga_id, self.rescued = saga_id, rescued

    def __str__(self) -> str:
        if self.rescued:
            return f"there is no such rescue of {self.rescued!r}, or the server no longer keeps it"
        return f"there is no saga {self.saga_id!r}, or the server no longer keeps it"


class VerbRefusedError(SagaError):
    """What an operator asked of a saga is not for it now; nothing has changed."""

    wire_type = "VerbRefusedError"

    def __init__(self, saga_id: str, verb: str, reason: str) -> None:
        super().__init__(saga_id, verb, reason)
        self.saga_id, self.verb, self.reason = saga_id, verb, reason

    def __str__(self) -> str:
        return f"saga {self.saga_id!r} refuses to {self.verb}: {self.reason}"


class NoWorkerError(SagaError):
    """No worker has carried out in time what was asked of a saga; it may still happen when one comes."""

    wire_type = "NoWorkerError"

    def __init__(self, saga_id: str, verb: str, seconds: float) -> None:
        super().__init__(saga_id, verb, seconds)
        self.saga_id, self.verb, self.seconds = saga_id, verb, seconds

    def __str__(self) -> str:
        return (
            f"no worker has answered for saga {self.saga_id!r} within {self.seconds:g} s; start one, and "
            f"look at the saga before you ask again to {self.verb}: it may still be carried out"
        )


def wire_type_of(error: BaseException) -> str:
    """The name of an error on the wire: its `wire_type`, or for an error of another package its class."""
    return error.wire_type if isinstance(error, SagaError) else type(error).__name__
