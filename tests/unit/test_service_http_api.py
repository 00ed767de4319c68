"""The HTTP API of a service: internal failures, and limits for misbehaving clients."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request
from starlette.types import Message

from choreography import Database, OperationHandler, Reactions, build_schema
from examples.payment import operations as ops
from examples.payment.messages import Notice, NoticeSent
from examples.payment.services import notification
from examples.service_kit.gates import Gates
from examples.service_kit.http_api import create_app
from examples.service_kit.problem_details import ProblemError
from examples.service_kit.request_body import read_message
from examples.service_kit.service import Service
from sagas import RejectedError

NOTICE = {"order_id": "o", "customer": {"id": "ada", "email": "ada@example.com"}, "subject": "Hello"}


def failing_service(error: Exception) -> Service:
    """A notification service; its business code writes, then raises `error`."""

    def send(tx: sqlite3.Connection, notice: Notice, key: str) -> NoticeSent:
        notification.send_receipt(tx, notice, key)
        raise error

    participant = replace(notification.NOTIFICATION, handlers=(OperationHandler(ops.send_receipt, send),))
    return Service(reactions=Reactions(participant), state=notification.state)


@asynccontextmanager
async def client_of(service: Service, path: Path) -> AsyncGenerator[httpx.AsyncClient, None]:
    async with Database.open(path / "db", schema=build_schema(service.participant)) as database:
        transport = httpx.ASGITransport(create_app(service, database), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            yield client


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RuntimeError("password=hunter2"), 500, "internal_error"),
        (RejectedError("never_declared", "hunter2"), 500, "internal_error"),
        (sqlite3.IntegrityError("hunter2"), 500, "internal_error"),
        (sqlite3.OperationalError("database or disk is full: hunter2"), 503, "unavailable"),
    ],
)
async def test_an_internal_failure_reveals_no_internals(
    tmp_path: Path, error: Exception, status: int, code: str
) -> None:
    """The answer has a code without internals, and no effect is committed."""
    async with client_of(failing_service(error), tmp_path) as client:
        answer = await client.post("/send-receipt", json=NOTICE, headers={"Idempotency-Key": "k"})
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.headers["content-type"] == "application/problem+json"
        assert "hunter2" not in answer.text
        assert (await client.get("/state/o")).json()["effects"] == []
        assert (await client.get("/health")).json()["writes"] == 0


async def test_a_body_without_end_times_out() -> None:
    """A client that sends a byte now and then cannot keep a request open without end."""

    async def trickle() -> Message:
        await asyncio.sleep(0)  # A real client lets the loop run between two bytes.
        return {"type": "http.request", "body": b" ", "more_body": True}

    headers = [(b"content-type", b"application/json")]
    request = Request({"type": "http", "method": "POST", "headers": headers}, trickle)
    with pytest.raises(ProblemError, match="body_too_slow"):
        await read_message(request, Notice, receive_timeout=timedelta(0))


async def test_the_wait_at_a_closed_gate_times_out() -> None:
    """A request does not wait at a gate without end."""
    assert not await Gates().wait_until_open("o", gate_timeout=timedelta(0))


async def test_a_gate_opens_for_one_order_only() -> None:
    """The requests of other orders keep waiting."""
    gates = Gates()
    gates.open("one")
    assert await gates.wait_until_open("one", gate_timeout=timedelta(0))
    assert not await gates.wait_until_open("other", gate_timeout=timedelta(0))
