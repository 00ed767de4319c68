"""The door when things go wrong inside, and the limits that no honest client meets."""

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

from choreography import Database, Handles
from examples.payment import operations as ops
from examples.payment.messages import Notice, Told
from examples.payment.services import notification
from examples.service_kit import request_body as body
from examples.service_kit.fault_injection import Gates
from examples.service_kit.http_api import Service, door
from examples.service_kit.problem_details import ProblemError
from sagas import RejectedError

NOTICE = {"order_id": "o", "customer": {"id": "ada", "email": "ada@example.com"}, "subject": "Hello"}


def fails(error: Exception) -> Service:
    """A notification service whose code writes, then raises `error`."""

    def send(tx: sqlite3.Connection, notice: Notice, key: str) -> Told:
        notification.send_receipt(tx, notice, key)
        raise error

    participant = replace(notification.NOTIFICATION, handles=(Handles(ops.send_receipt, send),))
    return Service(participant=participant, state=notification.state)


@asynccontextmanager
async def client_of(service: Service, path: Path) -> AsyncGenerator[httpx.AsyncClient, None]:
    async with Database.open(path / "db", schema=service.participant.schema) as database:
        transport = httpx.ASGITransport(door(service, database), raise_app_exceptions=False)
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
async def test_a_failure_inside_says_nothing_of_the_inside(
    tmp_path: Path, error: Exception, status: int, code: str
) -> None:
    """The client learns that it failed and nothing more, and nothing was committed."""
    async with client_of(fails(error), tmp_path) as client:
        answer = await client.post("/send-receipt", json=NOTICE, headers={"Idempotency-Key": "k"})
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.headers["content-type"] == "application/problem+json"
        assert "hunter2" not in answer.text
        assert (await client.get("/state/o")).json()["effects"] == []
        assert (await client.get("/health")).json()["writes"] == 0


async def test_a_body_that_does_not_end_is_given_up() -> None:
    """A client that sends a byte now and then does not hold a request open for ever."""

    async def trickle() -> Message:
        await asyncio.sleep(0)  # A real client lets the loop run between two bytes.
        return {"type": "http.request", "body": b" ", "more_body": True}

    headers = [(b"content-type", b"application/json")]
    request = Request({"type": "http", "method": "POST", "headers": headers}, trickle)
    with pytest.raises(ProblemError, match="body_too_slow"):
        await body.read(request, Notice, patience=timedelta(0))


async def test_a_gate_that_nobody_opens_is_given_up() -> None:
    """The wait at a gate is bounded."""
    assert not await Gates().passes("o", patience=timedelta(0))


async def test_a_gate_opens_for_one_order_only() -> None:
    """Other orders stay where they are."""
    gates = Gates()
    gates.open("one")
    assert await gates.passes("one", patience=timedelta(0))
    assert not await gates.passes("other", patience=timedelta(0))
