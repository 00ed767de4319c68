"""Classification of HTTP responses: done, rejected, or unknown with or without a retry. No I/O."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError
from temporalio.exceptions import ApplicationError

from sagas import Operation, RejectedError, invalid_fields

MessageT = TypeVar("MessageT")
ResultT = TypeVar("ResultT")

RETRIED_STATUSES = frozenset({408, 425, 429})
MAX_RETRY_AFTER = timedelta(minutes=1)
MAX_REASON_LENGTH = 2_000

VOIDED = "voided"
"""The code of a participant whose key was compensated before the action arrived."""

IN_FLIGHT = "in_flight"
"""The code of a participant that still handles an earlier request with the same key."""

_JSON_OBJECT = TypeAdapter(dict[str, object])


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """The parts of a response that decide about the outcome."""

    status: int
    body: bytes
    retry_after: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """The relevant members of a problem (RFC 9457); missing or malformed members are empty."""

    code: str
    reason: str
    field: str | None


def read_result(operation: Operation[MessageT, ResultT], response: HttpResponse) -> ResultT:
    """Returns the result of an operation with the outcome *done*.

    Raises:
        RejectedError: The participant rejected the operation; there is no effect.
        ApplicationError: The outcome is unknown; `non_retryable` when a retry would not help.
    """
    if response.status == 200:
        return _parse_result(operation, response)
    problem = _parse_problem(response.body)
    if response.status == 410:
        reason = problem.reason or "the operation was compensated before the request arrived"
        raise RejectedError(VOIDED, reason)
    if 400 <= response.status < 500 and problem.code in operation.rejections:
        raise RejectedError(problem.code, problem.reason, problem.field)
    is_retried = (
        response.status in RETRIED_STATUSES or not 400 <= response.status < 500 or problem.code == IN_FLIGHT
    )
    code = problem.code or "without a code"
    raise _unknown(
        f"participant {operation.participant!r} answered {response.status} {code}: {problem.reason}",
        is_retried=is_retried,
        delay=_parse_retry_after(response.retry_after),
    )


def _parse_result(operation: Operation[MessageT, ResultT], response: HttpResponse) -> ResultT:
    try:
        return TypeAdapter(operation.result).validate_json(response.body)
    except ValidationError as error:
        # Without the values: error texts stay in histories, unencrypted.
        rules = "; ".join(map(str, invalid_fields(error)))
        expected = operation.result.__name__
        raise _unknown(
            f"participant {operation.participant!r} answered 200 without a valid {expected}: {rules}",
            is_retried=True,
            delay=None,
        ) from error


def _unknown(text: str, *, is_retried: bool, delay: timedelta | None) -> ApplicationError:
    return ApplicationError(
        text[:MAX_REASON_LENGTH],
        type="NoResponse" if is_retried else "UnexpectedResponse",
        non_retryable=not is_retried,
        next_retry_delay=delay,
    )


def _parse_problem(body: bytes) -> Problem:
    try:
        members = _JSON_OBJECT.validate_json(body)
    except ValidationError:
        members = {}
    code, detail, field = (members.get(name) for name in ("code", "detail", "field"))
    return Problem(
        code=code if isinstance(code, str) else "",
        reason=detail[:MAX_REASON_LENGTH] if isinstance(detail, str) else "",
        field=field if isinstance(field, str) else None,
    )


def _parse_retry_after(header: str | None) -> timedelta | None:
    """Parses seconds or a date (RFC 9110); a malformed header counts as absent."""
    if header is None:
        return None
    try:
        seconds = float(header) if header.strip().isdigit() else _seconds_until(header)
    except (ValueError, OverflowError):
        return None
    return min(timedelta(seconds=min(seconds, 86_400)), MAX_RETRY_AFTER) if seconds > 0 else None


def _seconds_until(date: str) -> float:
    moment = parsedate_to_datetime(date)
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
