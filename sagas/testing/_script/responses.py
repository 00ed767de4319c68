"""The responses of scripted participants, as data."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from ..._errors import DefinitionError

NO_RESPONSE = "NoResponse"
"""The error type of a failed attempt."""


@dataclass(frozen=True, slots=True)
class Answers:
    """The participant executes the call and answers.

    Args:
        value: The answer; ignored with `is_sample` or `compute`.
        is_sample: Whether the answer is a sample of the declared result type.
        compute: Computes the answer from the message.
    """

    value: object = None
    is_sample: bool = False
    compute: Callable[..., object] | None = None


@dataclass(frozen=True, slots=True)
class Rejects:
    """The participant refuses the call for good; the call has no effect."""

    code: str
    reason: str
    field: str | None


@dataclass(frozen=True, slots=True)
class Fails:
    """The attempt fails, and the outcome is unknown.

    Args:
        error_type: The type of the application error.
        has_effect: Whether the participant executed the call before the failure.
        non_retryable: Whether Temporal makes no further attempt.
    """

    error_type: str
    has_effect: bool
    non_retryable: bool


@dataclass(frozen=True, slots=True)
class NeverAnswers:
    """The attempt reports nothing, and ends with the start-to-close timeout.

    Args:
        has_effect: Whether the participant executed the call at once.
        is_late: Whether the participant executes the call after the end of the saga.
        crashes: Whether the worker process ends, and another worker takes over.
    """

    has_effect: bool = False
    is_late: bool = False
    crashes: bool = False


@dataclass(frozen=True, slots=True)
class Blocks:
    """The participant executes the call and answers when the test releases the step."""


Response: TypeAlias = Answers | Rejects | Fails | NeverAnswers | Blocks
"""The response to one call."""
Script: TypeAlias = Response | Sequence[Response]
"""A response for every call of a step, or a response for each call in turn; further calls are answered."""

SAMPLE = Answers(is_sample=True)
"""The response without a script."""


def answers(value: object) -> Response:
    """Executes the call, and answers with a value of any type, also of a wrong type."""
    return Answers(value)


def answers_with(compute: Callable[..., object], /) -> Response:
    """Executes the call, and answers with a value computed from the message.

    Args:
        compute: Takes the message, in the type of the parameter's annotation; without an annotation, in the
            types of JSON.
    """
    return Answers(compute=compute)


def rejects(code: str, reason: str = "", *, field: str | None = None) -> Response:
    """Refuses the call for good: the call has no effect, and is not attempted again.

    Args:
        code: The code of the `RejectedError`.
        reason: The reason; by default a sentence with the code.
        field: The input that broke a rule, as a dotted path.
    """
    return Rejects(code, reason or f"the script rejects the step: {code}", field)


def fails(error_type: str = NO_RESPONSE, *, non_retryable: bool = False) -> Response:
    """Fails the attempt before the participant receives the call: no effect, and an unknown outcome.

    Args:
        error_type: The type of the application error.
        non_retryable: Whether Temporal makes no further attempt.
    """
    return Fails(error_type, has_effect=False, non_retryable=non_retryable)


def loses_reply(*, non_retryable: bool = False) -> Response:
    """Executes the call, and fails the attempt: the effect has happened, and the outcome is unknown.

    Args:
        non_retryable: Whether Temporal makes no further attempt.
    """
    return Fails(NO_RESPONSE, has_effect=True, non_retryable=non_retryable)


def hangs() -> Response:
    """Never answers, and has no effect: the attempt ends with the start-to-close timeout."""
    return NeverAnswers()


def answers_late() -> Response:
    """Lets the attempt time out, and executes the call after the end of the saga: the request was delayed.

    A participant voids the key of a compensated step, and then refuses the late call.
    """
    return NeverAnswers(is_late=True)


def crashes_worker(*, has_effect: bool = False) -> Response:
    """Ends the worker during the call: the attempt times out, and a new worker continues the saga.

    The new worker has no workflow in memory, and replays the saga from the history.

    Args:
        has_effect: Whether the participant executed the call before the crash.
    """
    return NeverAnswers(has_effect=has_effect, crashes=True)


def blocks() -> Response:
    """Answers the call when the test calls `OpenSaga.release`."""
    return Blocks()


def check_script(name: str, script: Script) -> Script:
    """Refuses a script that is not made of responses.

    Raises:
        DefinitionError: The script is neither a response nor a non-empty sequence of responses.
    """
    responses: list[object] = [script] if isinstance(script, Response) else list(script)
    if not responses or not all(isinstance(each, Response) for each in responses):
        raise DefinitionError(
            f"the script of {name} must be a response, such as rejects('card_declined'), or a list of "
            f"responses, not {script!r}"
        )
    return script


ATTEMPT_TIMEOUT = timedelta(seconds=1)
"""The longest start-to-close timeout of a step with an attempt that never answers."""
