"""Classification of HTTP responses: done, rejected, or unknown with or without a retry. No I/O."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from temporalio.exceptions import ApplicationError

from sagas import Operation, RejectedError, invalid_fields

from ._http_answer import RETRIED_STATUSES, HttpAnswer
from ._http_route import HttpRoute

MessageT = TypeVar("MessageT")
ResultT = TypeVar("ResultT")

MAX_RETRY_AFTER = timedelta(minutes=1)
MAX_REASON_LENGTH = 2_000

VOIDED = "voided"
"""The code of a participant whose key was compensated before the action arrived."""

IN_FLIGHT = "in_flight"
"""The code of a participant that still handles an earlier request with the same key."""

_JSON_OBJECT = TypeAdapter(dict[str, object])


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """The parts of a response that decide about the outcome.

    Args:
        status: The status.
        body: The body; empty if cut.
        retry_after: The header `Retry-After`.
        is_cut: Whether the body was longer than the limit.
    """

    status: int
    body: bytes
    retry_after: str | None = None
    is_cut: bool = False

    @property
    def shows_failure(self) -> bool:
        """Whether the participant is overloaded or out of order, for the circuit breaker."""
        return self.status >= 500 or self.status in (408, 429)


@dataclass(frozen=True, slots=True)
class Problem:
    """The relevant members of a problem (RFC 9457); missing or malformed members are empty.

    Args:
        code: The member `code`.
        kind: The member `type`: a URI.
        reason: The member `detail`.
        field: The member `field`.
    """

    code: str
    kind: str
    reason: str
    field: str | None


def read_result(
    operation: Operation[MessageT, ResultT], response: HttpResponse, route: HttpRoute | None = None
) -> ResultT:
    """Returns the result of an operation with the outcome *done*.

    Raises:
        RejectedError: The participant rejected the operation; there is no effect.
        ApplicationError: The outcome is unknown; `non_retryable` when a retry would not help.
    """
    problem = _parse_problem(response.body)
    if route is not None:
        if response.status in route.done:
            return _empty_result(operation)
        _raise_rejection_of_route(operation, response, route, problem)
    if 200 <= response.status < 300:
        return _parse_result(operation, response)
    if problem.code == VOIDED if route else response.status == 410:
        reason = problem.reason or "the operation was compensated before the request arrived"
        raise RejectedError(VOIDED, reason)
    if 400 <= response.status < 500:
        for code in (problem.code, problem.kind):
            if code in operation.rejections:
                raise RejectedError(code, problem.reason, problem.field)
    is_retried = (
        response.status in RETRIED_STATUSES or not 400 <= response.status < 500 or problem.code == IN_FLIGHT
    )
    code = problem.code or "without a code"
    raise _unknown(
        f"participant {operation.participant!r} answered {response.status} {code}: {problem.reason}",
        is_retried=is_retried,
        delay=_parse_retry_after(response.retry_after),
    )


def _raise_rejection_of_route(
    operation: Operation[MessageT, ResultT], response: HttpResponse, route: HttpRoute, problem: Problem
) -> None:
    """Raises the rejection that the route finds in the status or the body.

    Raises:
        RejectedError: The participant rejected the operation; there is no effect.
        ApplicationError: The code is not declared, so that an effect is possible.
    """
    status = response.status
    if not 200 <= status < 300 and (not 400 <= status < 500 or status in RETRIED_STATUSES):
        return
    code = None
    if route.rejection_of is not None and not response.is_cut:
        code = route.rejection_of(HttpAnswer(status, response.body))
    if code is None:
        code = (route.rejections or {}).get(status)
    if code is None:
        return
    if code not in operation.rejections:
        text = f"`rejection_of` returned {code!r} for {status}, which {operation.name!r} does not declare"
        raise _unknown(f"participant {operation.participant!r}: {text}", is_retried=False, delay=None)
    reason = problem.reason or f"participant {operation.participant!r} answered {status}"
    raise RejectedError(code, reason, problem.field)


def _empty_result(operation: Operation[MessageT, ResultT]) -> ResultT:
    return TypeAdapter(operation.result).validate_python(None)


def _parse_result(operation: Operation[MessageT, ResultT], response: HttpResponse) -> ResultT:
    if operation.result is type(None):
        # The operation reads no result, so the body does not matter.
        return _empty_result(operation)
    try:
        return TypeAdapter(operation.result).validate_json(response.body)
    except ValidationError as error:
        # Without the values: error texts stay in histories, unencrypted.
        rules = "; ".join(map(str, invalid_fields(error)))
        expected = operation.result.__name__
        raise _unknown(
            f"participant {operation.participant!r} answered {response.status} without a valid {expected}: "
            f"{rules}",
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
    detail = members.get("detail")
    if isinstance(detail, dict):
        # FastAPI: `HTTPException(detail={"code": ..., "message": ...})`.
        inner = cast("dict[str, object]", detail)
        members = {**members, **inner, "detail": inner.get("detail") or inner.get("message")}
    elif isinstance(detail, list):
        members = {**members, **_validation_of(cast("list[object]", detail))}
    return Problem(
        code=_text(members.get("code")),
        kind=_text(members.get("type")),
        reason=_text(members.get("detail"))[:MAX_REASON_LENGTH],
        field=_text(members.get("field")) or None,
    )


def _validation_of(errors: list[object]) -> dict[str, object]:
    """The fields and rules of FastAPI's validation errors, without the rejected values."""
    rules: list[tuple[str, str]] = []
    for error in errors:
        if isinstance(error, dict):
            members = cast("dict[str, object]", error)
            location = members.get("loc")
            path = cast("list[object]", location)[1:] if isinstance(location, list) else []
            rules.append((".".join(map(str, path)), _text(members.get("msg"))))
    return {
        "detail": "; ".join(f"{field}: {rule}" if field else rule for field, rule in rules),
        "field": rules[0][0] if rules else "",
    }


def _text(member: object) -> str:
    return member if isinstance(member, str) else ""


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
