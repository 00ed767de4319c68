"""The HTTP API of a participant: a route per operation and command, and routes for state and tests."""

import re
from collections.abc import Iterable, MutableMapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.telemetry import TelemetryConfig
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from choreography import (
    CommandType,
    Database,
    OperationRequest,
    RunningParticipant,
    execute_operation,
)
from sagas import Operation

from .connection_drop import drop_connection
from .error_handlers import add_error_handlers
from .fault_injection import Fault, FaultsBeforeEffect
from .gates import Gates
from .problem_details import Problem, ProblemError
from .request_body import read_message
from .service import Service

KEY = re.compile(r"[!-~]{1,200}")
ORDER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def _is_outside_sagas(scope: MutableMapping[str, Any]) -> bool:
    """Whether a request only reads state or operates a gate."""
    return scope.get("method") != "POST" or str(scope.get("path")).startswith("/test/")


TELEMETRY: TelemetryConfig = {
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "exclude": _is_outside_sagas,
}
"""The server span of a request is FastAPI's own, and continues the trace of the request."""


def create_app(
    service: Service,
    database: Database,
    *,
    gates: Gates | None = None,
    running: RunningParticipant | None = None,
) -> FastAPI:
    """Creates the web application of a service.

    Args:
        service: The service to serve.
        database: The database of the service.
        gates: The gates, where the event handling of the service shares them.
        running: The same participant in event handling; the API serves the commands of the participant, too.
    """
    name = service.participant.name
    app = FastAPI(title=f"{name} service", version="1", docs_url=None, redoc_url=None, telemetry=TELEMETRY)
    gates = gates or Gates()
    faults = FaultsBeforeEffect(service.fault_rule, gates)
    for operation in service.participant.operations:
        _add_operation(app, service, database, operation, faults)
    models = {operation.message for operation in service.participant.operations}
    if running is not None:
        for command in running.command_types:
            _add_command(app, running, command)
            models.add(command.data)
    _add_state(app, service, database)
    _add_gates(app, gates)
    add_error_handlers(app, service.invalid_codes)
    _add_schemas(app, models | {Problem})
    return app


def _add_operation(
    app: FastAPI,
    service: Service,
    database: Database,
    operation: Operation[Any, Any],
    faults: FaultsBeforeEffect,
) -> None:
    async def handle(request: Request) -> Response:
        key = _idempotency_key(request)
        message = await read_message(request, operation.message)
        await faults.inject(operation.name, message, key)
        asked = OperationRequest(operation=operation.name, message=message, key=key)
        answer = await execute_operation(service.participant, database, asked)
        fault = service.fault_rule(operation.name, message)
        if fault is Fault.REPLIES_LOST or (fault is Fault.REPLY_LOST and not answer.is_repeated):
            await drop_connection(request)
        return JSONResponse(answer.result.model_dump(mode="json"))

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
            "requestBody": _body_of(operation.message),
        },
    )


def _add_command(app: FastAPI, running: RunningParticipant, command: CommandType[Any]) -> None:
    """Adds the route of a command; the data names the saga, so a command needs no idempotency key."""

    async def handle(request: Request) -> Response:
        message = await read_message(request, command.data)
        saga_id = await running.execute_command(command, message)
        return JSONResponse({"saga_id": saga_id}, HTTPStatus.ACCEPTED)

    app.add_api_route(
        f"/{command.name}",
        handle,
        methods=["POST"],
        name=command.name,
        status_code=HTTPStatus.ACCEPTED,
        responses=_refusals(["as the first operation of the saga is refused"]),
        openapi_extra={"requestBody": _body_of(command.data)},
    )


def _add_state(app: FastAPI, service: Service, database: Database) -> None:
    name = service.participant.name

    async def health() -> dict[str, object]:
        return {"service": name, "status": "ready", "writes": database.writes}

    async def state(order_id: str) -> dict[str, object]:
        _check_order_id(order_id)
        held = await database.read(lambda tx: service.state(tx, order_id))
        return {"service": name, "order_id": order_id, **held}

    app.add_api_route("/health", health, methods=["GET"])
    app.add_api_route("/state/{order_id}", state, methods=["GET"])
    if service.balance is not None:
        read_balance = service.balance

        async def balance() -> dict[str, object]:
            return await database.read(read_balance)

        app.add_api_route("/balance", balance, methods=["GET"])


def _add_gates(app: FastAPI, gates: Gates) -> None:
    async def open_gate(order_id: str) -> dict[str, object]:
        _check_order_id(order_id)
        gates.open(order_id)
        return {"order_id": order_id, "gate": "open"}

    async def await_arrival(order_id: str) -> dict[str, object]:
        _check_order_id(order_id)
        if not await gates.wait_for_arrival(order_id):
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "no request arrived at the gate in time"
            )
        return {"order_id": order_id, "gate": "reached"}

    app.add_api_route("/test/gates/{order_id}", open_gate, methods=["POST"])
    app.add_api_route("/test/gates/{order_id}", await_arrival, methods=["GET"])


def _body_of(model: type[BaseModel]) -> dict[str, object]:
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _refusals(reasons: list[str]) -> dict[int | str, dict[str, Any]]:
    schema = {"$ref": "#/components/schemas/Problem"}
    content = {"application/problem+json": {"schema": schema}}
    return {"4XX": {"description": f"Refused: {', '.join(reasons)}", "content": content}}


def _idempotency_key(request: Request) -> str:
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


def _add_schemas(app: FastAPI, models: Iterable[type[BaseModel]]) -> None:
    """Adds the models of raw request bodies to the OpenAPI document."""
    without_models = app.openapi

    def openapi() -> dict[str, Any]:
        document = without_models()
        _, schemas = models_json_schema(
            [(model, "validation") for model in models],
            ref_template="#/components/schemas/{model}",
        )
        document.setdefault("components", {}).setdefault("schemas", {}).update(schemas["$defs"])
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it
