"""The HTTP door of a participant: one route per operation, and everything that HTTP can do wrong.

What goes through the door is a message and its idempotency key; what becomes of it is the participant's.
"""

import asyncio
import logging
import re
import sqlite3
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.telemetry import TelemetryConfig
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException

from choreography import KEY_REUSE, VOIDED, Command, Database, Participant, RunningParticipant
from examples.order.operations import INVALID_LINES
from examples.payment.operations import INVALID
from sagas import Operation, RejectedError

from . import request_body as body
from .fault_injection import Fault, Gates, Hindrances, UnavailableError, fault_for
from .problem_details import Problem, ProblemError

DROP = "examples.drop_connection"
"""The ASGI extension with which the server lets a request cut its own connection."""

KEY = re.compile(r"[!-~]{1,200}")
ORDER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
RETRY_AFTER = {"Retry-After": "1"}
INVALID_CODES = INVALID | INVALID_LINES
"""Refusals for which the message alone is to blame, whatever the state of the service."""


def _is_no_part_of_a_saga(scope: MutableMapping[str, Any]) -> bool:
    """Questions about the state and what tests do to gates."""
    return scope.get("method") != "POST" or str(scope.get("path")).startswith("/test/")


TELEMETRY: TelemetryConfig = {
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "exclude": _is_no_part_of_a_saga,
}
"""The server span of a request is FastAPI's own, and goes on with the trace that the request names."""

logger = logging.getLogger(__name__)

Read = Callable[[sqlite3.Connection], dict[str, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A participant and what can be read of it.

    Args:
        participant: Who handles the operations.
        state: What it holds of an order, with the names of the actions whose effect is present.
        balance: What must add up, and whether it does; where there is something to add up.
    """

    participant: Participant
    state: Callable[[sqlite3.Connection, str], dict[str, object]]
    balance: Read | None = None


def door(
    service: Service,
    database: Database,
    *,
    gates: Gates | None = None,
    running: RunningParticipant | None = None,
) -> FastAPI:
    """The application that serves `service` on `database`.

    Args:
        service: What it does.
        database: Where.
        gates: Those of its event door, where it has one.
        running: The same participant as it reacts to events; its commands are served, too.
    """
    name = service.participant.name
    app = FastAPI(title=f"{name} service", version="1", docs_url=None, redoc_url=None, telemetry=TELEMETRY)
    gates = gates or Gates()
    for operation in service.participant.operations:
        _add_operation(app, service.participant, database, operation, Hindrances(gates))
    commands = running.commands if running else ()
    for command in commands:
        assert running is not None
        _add_command(app, running, command)

    async def health() -> dict[str, object]:
        return {"service": name, "status": "ready", "writes": database.writes}

    async def state(order_id: str) -> dict[str, object]:
        _check_order_id(order_id)
        held = await database.read(lambda tx: service.state(tx, order_id))
        return {"service": name, "order_id": order_id, **held}

    async def open_gate(order_id: str) -> dict[str, object]:
        _check_order_id(order_id)
        gates.open(order_id)
        return {"order_id": order_id, "gate": "open"}

    async def await_arrival(order_id: str) -> dict[str, object]:
        _check_order_id(order_id)
        if not await gates.sees_arrival(order_id):
            raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "nothing came to the gate")
        return {"order_id": order_id, "gate": "reached"}

    app.add_api_route("/health", health, methods=["GET"])
    app.add_api_route("/state/{order_id}", state, methods=["GET"])
    app.add_api_route("/test/gates/{order_id}", open_gate, methods=["POST"])
    app.add_api_route("/test/gates/{order_id}", await_arrival, methods=["GET"])
    if service.balance is not None:
        read_balance = service.balance

        async def balance() -> dict[str, object]:
            return await database.read(read_balance)

        app.add_api_route("/balance", balance, methods=["GET"])
    _add_problems(app)
    _describe_messages(
        app, {each.message for each in service.participant.operations} | {each.data for each in commands}
    )
    return app


def _add_operation(
    app: FastAPI,
    participant: Participant,
    database: Database,
    operation: Operation[Any, Any],
    hindrances: Hindrances,
) -> None:
    async def handle(request: Request) -> Response:
        key = _key(request)
        message = await body.read(request, operation.message)
        await hindrances.pass_by(operation.name, message, key)
        answer = await participant.handle(database, operation.name, message, key)
        fault = fault_for(operation.name, message)
        if fault is Fault.REPLIES_LOST or (fault is Fault.REPLY_LOST and not answer.is_repeated):
            await _drop(request)
        return JSONResponse(answer.result.model_dump(mode="json"))

    schema = {"$ref": f"#/components/schemas/{operation.message.__name__}"}
    app.add_api_route(
        f"/{operation.name}",
        handle,
        methods=["POST"],
        name=operation.name,
        response_model=operation.result,
        responses=_refusals(sorted(operation.rejections) or ["by the key contract"]),
        openapi_extra={
            "parameters": [
                {
                    "name": "Idempotency-Key",
                    "in": "header",
                    "required": True,
                    "description": "The same for every attempt of one step, and for its compensation.",
                    "schema": {"type": "string", "pattern": f"^{KEY.pattern}$"},
                }
            ],
            "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        },
    )


def _add_command(app: FastAPI, running: RunningParticipant, command: Command[Any]) -> None:
    """A command has no key: which saga it is about says what it is, however often it is sent."""

    async def handle(request: Request) -> Response:
        message = await body.read(request, command.data)
        saga_id = await running.obey(command, message)
        return JSONResponse({"saga_id": saga_id}, HTTPStatus.ACCEPTED)

    schema = {"$ref": f"#/components/schemas/{command.data.__name__}"}
    app.add_api_route(
        f"/{command.name}",
        handle,
        methods=["POST"],
        name=command.name,
        status_code=HTTPStatus.ACCEPTED,
        responses=_refusals(["as what it leads to is refused"]),
        openapi_extra={
            "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}
        },
    )


def _refusals(why: list[str]) -> dict[int | str, dict[str, Any]]:
    schema = {"$ref": "#/components/schemas/Problem"}
    content = {"application/problem+json": {"schema": schema}}
    return {"4XX": {"description": f"Refused: {', '.join(why)}", "content": content}}


async def _drop(request: Request) -> None:
    """Cuts the connection, so that the client cannot know whether anything happened."""
    cut = request.scope.get("extensions", {}).get(DROP)
    if cut is None:
        raise ConnectionAbortedError("this server cannot cut its connections")
    cut()
    # The server must have seen the end of the connection before the answer, which it then discards.
    await asyncio.sleep(0)


def _key(request: Request) -> str:
    keys = request.headers.getlist("Idempotency-Key")
    if len(keys) != 1 or not KEY.fullmatch(keys[0]):
        raise ProblemError(
            HTTPStatus.BAD_REQUEST,
            "invalid_idempotency_key",
            "give one Idempotency-Key header of 1 to 200 visible ASCII characters",
            field="Idempotency-Key",
            rule="required" if not keys else "pattern",
        )
    return keys[0]


def _check_order_id(order_id: str) -> None:
    if not ORDER_ID.fullmatch(order_id):
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "invalid_message",
            "an order id has 1 to 64 letters, digits, dots, dashes and underscores",
            field="order_id",
            rule="pattern",
        )


def _add_problems(app: FastAPI) -> None:
    """Every failure leaves as a problem; what is unexpected says nothing of the inside."""

    async def problem(_: Request, error: Exception) -> Response:
        assert isinstance(error, ProblemError)
        unavailable = error.status is HTTPStatus.SERVICE_UNAVAILABLE
        return error.response(RETRY_AFTER if unavailable else None)

    async def not_now(_: Request, error: Exception) -> Response:
        problem = ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", str(error))
        return problem.response(RETRY_AFTER)

    async def rejected(_: Request, error: Exception) -> Response:
        assert isinstance(error, RejectedError)
        statuses = {VOIDED: HTTPStatus.GONE, KEY_REUSE: HTTPStatus.UNPROCESSABLE_ENTITY}
        statuses |= dict.fromkeys(INVALID_CODES, HTTPStatus.UNPROCESSABLE_ENTITY)
        status = statuses.get(error.code, HTTPStatus.CONFLICT)
        rule = error.code if error.code in INVALID_CODES else None
        return ProblemError(status, error.code, error.reason, field=error.field, rule=rule).response()

    async def http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        status = HTTPStatus(error.status_code)
        return ProblemError(status, status.name.lower(), str(error.detail)).response(error.headers)

    async def database_failed(_: Request, error: Exception) -> Response:
        logger.error("the database failed: %s", error)
        problem = ProblemError(
            HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "the database cannot be used just now"
        )
        return problem.response(RETRY_AFTER)

    async def unexpected(_: Request, error: Exception) -> Response:
        del error  # The server logs it; the client learns nothing of it.
        return ProblemError(
            HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "the service failed; nothing was changed"
        ).response()

    handlers: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
        ProblemError: problem,
        UnavailableError: not_now,
        RejectedError: rejected,
        HTTPException: http,
        sqlite3.OperationalError: database_failed,
        Exception: unexpected,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


def _describe_messages(app: FastAPI, messages: set[type[BaseModel]]) -> None:
    """Adds to the OpenAPI document the models that the routes read from raw bytes."""
    described = app.openapi

    def openapi() -> dict[str, Any]:
        document = described()
        _, schemas = models_json_schema(
            [(model, "validation") for model in messages | {Problem}],
            ref_template="#/components/schemas/{model}",
        )
        document.setdefault("components", {}).setdefault("schemas", {}).update(schemas["$defs"])
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it
