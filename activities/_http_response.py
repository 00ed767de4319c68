"""What an answer means: done, rejected for good, worth another try, or unknown for good. No I/O."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError
from temporalio.exceptions import ApplicationError

from sagas import Operation, RejectedError

MessageT = TypeVar("MessageT")
ResultT = TypeVar("ResultT")

WORTH_ANOTHER_TRY = frozenset({408, 425, 429})
LONGEST_RETRY_AFTER = timedelta(minutes=1)
LONGEST_REASON = 2_000

VOIDED = "voided"
"""The code of a participant that has compensated a key before its action arrived."""

IN_FLIGHT = "in_flight"
"""The code of a participant that is still busy with the same key."""

_OBJECT = TypeAdapter(dict[str, object])


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the status, the body, and the header `Retry-After`."""

    status: int
    body: bytes
    retry_after: str | None = None


def read_answer(operation: Operation[MessageT, ResultT], answer: Answer) -> ResultT:
    """The result in `answer`, if the operation is done.

    Raises:
        RejectedError: The participant refused for good, and nothing has happened.
        ApplicationError: Nobody knows whether it happened; `non_retryable` if asking again is useless.
    """
    if answer.status == 200:
        return _result(operation, answer)
    code, reason, field = _problem(answer.body)
    if answer.status == 410:
        raise RejectedError(VOIDED, reason or "it was compensated before it arrived")
    if 400 <= answer.status < 500 and code in operation.rejections:
        raise RejectedError(code, reason, field)
    what = f"{operation.participant} answered {answer.status} {code or 'without a code'}: {reason}"
    is_retried = answer.status in WORTH_ANOTHER_TRY or not 400 <= answer.status < 500 or code == IN_FLIGHT
    raise _unknown(what, is_retried=is_retried, delay=_retry_after(answer.retry_after))


def _result(operation: Operation[MessageT, ResultT], answer: Answer) -> ResultT:
    try:
        return TypeAdapter(operation.result).validate_json(answer.body)
    except ValidationError as error:
        # Never the values: error texts are kept in clear.
        rules = "; ".join(
            f"{'.'.join(map(str, rule['loc']))}: {rule['msg']}"
            for rule in error.errors(include_input=False, include_context=False, include_url=False)
        )
        what = f"{operation.participant} answered with no {operation.result.__name__}: {rules}"
        raise _unknown(what, is_retried=True, delay=None) from error


def _unknown(what: str, *, is_retried: bool, delay: timedelta | None) -> ApplicationError:
    return ApplicationError(
        what[:LONGEST_REASON],
        type="NoAnswer" if is_retried else "UnexpectedAnswer",
        non_retryable=not is_retried,
        next_retry_delay=delay,
    )


def _problem(body: bytes) -> tuple[str, str, str | None]:
    try:
        problem = _OBJECT.validate_json(body)
    except ValidationError:
        problem = {}
    code, detail, field = (problem.get(name) for name in ("code", "detail", "field"))
    return (
        code if isinstance(code, str) else "",
        detail[:LONGEST_REASON] if isinstance(detail, str) else "",
        field if isinstance(field, str) else None,
    )


def _retry_after(header: str | None) -> timedelta | None:
    """Seconds or a date, as RFC 9110 has it; nothing sensible counts as nothing said."""
    if header is None:
        return None
    try:
        seconds = float(header) if header.strip().isdigit() else _seconds_until(header)
    except (ValueError, OverflowError):
        return None
    return min(timedelta(seconds=min(seconds, 86_400)), LONGEST_RETRY_AFTER) if seconds > 0 else None


def _seconds_until(date: str) -> float:
    moment = parsedate_to_datetime(date)
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
