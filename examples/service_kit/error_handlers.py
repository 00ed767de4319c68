"""Maps every exception of a request to a problem; unexpected errors reveal no internals."""

import logging
import sqlite3
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from choreography import KEY_REUSE, VOIDED
from sagas import RejectedError

from .fault_injection import UnavailableError
from .problem_details import ProblemError

RETRY_AFTER = {"Retry-After": "1"}

logger = logging.getLogger(__name__)

ErrorHandler = Callable[[Request, Exception], Awaitable[Response]]


def add_error_handlers(app: FastAPI, invalid_codes: frozenset[str]) -> None:
    """Answers every failure of `app` with a problem.

    Args:
        app: The application of a service.
        invalid_codes: Rejection codes answered with 422; see `Service`.
    """
    handlers: dict[type[Exception], ErrorHandler] = {
        ProblemError: _problem,
        UnavailableError: _unavailable,
        RejectedError: _rejected(invalid_codes),
        HTTPException: _http,
        sqlite3.OperationalError: _database_failed,
        Exception: _unexpected,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    is_unavailable = error.status is HTTPStatus.SERVICE_UNAVAILABLE
    return error.response(RETRY_AFTER if is_unavailable else None)


async def _unavailable(_: Request, error: Exception) -> Response:
    problem = ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", str(error))
    return problem.response(RETRY_AFTER)


def _rejected(invalid_codes: frozenset[str]) -> ErrorHandler:
    statuses = {VOIDED: HTTPStatus.GONE, KEY_REUSE: HTTPStatus.UNPROCESSABLE_ENTITY}
    statuses |= dict.fromkeys(invalid_codes, HTTPStatus.UNPROCESSABLE_ENTITY)

    async def rejected(_: Request, error: Exception) -> Response:
        assert isinstance(error, RejectedError)
        status = statuses.get(error.code, HTTPStatus.CONFLICT)
        rule = error.code if error.code in invalid_codes else None
        return ProblemError(status, error.code, error.reason, field=error.field, rule=rule).response()

    return rejected


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    return ProblemError(status, status.name.lower(), str(error.detail)).response(error.headers)


async def _database_failed(_: Request, error: Exception) -> Response:
    logger.error("the database failed: %s", error)
    problem = ProblemError(
        HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "the database cannot be used just now"
    )
    return problem.response(RETRY_AFTER)


async def _unexpected(_: Request, error: Exception) -> Response:
    del error  # The server logs the error; the reply reveals nothing of it.
    return ProblemError(
        HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "the service failed; nothing was changed"
    ).response()
