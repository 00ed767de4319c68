"""Invalid input is refused with 4xx and a problem with field, rule and code; no row is written (P19)."""

import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from .conftest import RunningService
from .invalid_messages import GOOD, INVALID, MALFORMED, REFUSED
from .messages import notice, order, parcel, screening, stock

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def untouched(services: dict[str, RunningService]) -> Iterator[RunningService]:
    """The payment service; after the test the service must be ready, with the same number of rows."""
    running = services["payment"]
    rows = running.rows()
    yield running
    assert running.rows() == rows
    assert running.client.get("/health").json()["status"] == "ready"


def problem(answer: Any, status: int) -> dict[str, Any]:
    """Returns the problem in an answer, and checks that the answer reveals no internals."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    details: dict[str, Any] = answer.json()
    assert details["status"] == status
    assert {"type", "title", "detail", "code"} <= set(details)
    assert not any(word in answer.text for word in ("Traceback", "sqlite", ".py", "pydantic"))
    return details


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_json_is_refused(untouched: RunningService, name: str) -> None:
    """JSON that parsers interpret differently is refused."""
    body, rule = MALFORMED[name]
    content = body if isinstance(body, bytes) else body.encode()
    answer = untouched.client.post(
        "/authorize-payment", content=content, headers=JSON | {"Idempotency-Key": "bad"}
    )
    details = problem(answer, 400)
    assert (details["code"], details["rule"]) == ("invalid_message", rule)


@pytest.mark.parametrize("name", INVALID)
@pytest.mark.parametrize("operation", ["authorize-payment", "refund-payment"])
def test_an_invalid_message_is_refused(untouched: RunningService, operation: str, name: str) -> None:
    """No field is converted, ignored or filled in, in actions and in compensations."""
    body, field, rule = INVALID[name]
    answer = untouched.client.post(
        f"/{operation}", content=body.encode(), headers=JSON | {"Idempotency-Key": "bad"}
    )
    details = problem(answer, 422)
    assert (details["code"], details.get("field"), details["rule"]) == ("invalid_message", field, rule)


@pytest.mark.parametrize("name", REFUSED)
def test_a_message_that_breaks_a_business_rule_is_refused_without_effect(
    services: dict[str, RunningService], order_id: str, name: str
) -> None:
    """The refusal is stored under its key, and no other row is written."""
    service, operation, message, code, field = REFUSED[name]
    running = services[service]
    before = running.rows()
    answer = running.request(operation, message, f"{order_id}:bad")
    details = problem(answer, 422)
    assert (details["code"], details["field"], details["rule"]) == (code, field, code)
    assert running.rows() == before | {"saga_step": before["saga_step"] + 1}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/xml"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/jsonp"},
        {"Content-Type": "application/json; charset=utf-16"},
        JSON | {"Content-Encoding": "gzip"},
    ],
    ids=str,
)
def test_only_json_in_utf_8_is_accepted(untouched: RunningService, headers: dict[str, str]) -> None:
    """Other media types are answered with 415, before the body is read."""
    answer = untouched.client.post(
        "/authorize-payment", content=GOOD.encode(), headers=headers | {"Idempotency-Key": "bad"}
    )
    assert problem(answer, 415)["code"] == "unsupported_media_type"


@pytest.mark.parametrize("key", ["", "a b", "é".encode(), "tab\there", "k" * 201, "two"], ids=repr)
def test_an_invalid_idempotency_key_is_refused(untouched: RunningService, key: str | bytes) -> None:
    """Each request needs exactly one valid key."""
    headers: list[tuple[str, str | bytes]] = [("Content-Type", "application/json"), ("Idempotency-Key", key)]
    if key == "two":
        headers.append(("Idempotency-Key", "keys"))
    pairs = [(name.encode(), v if isinstance(v, bytes) else v.encode()) for name, v in headers]
    answer = untouched.client.post("/authorize-payment", content=GOOD.encode(), headers=pairs)
    details = problem(answer, 400)
    assert (details["code"], details["field"]) == ("invalid_idempotency_key", "Idempotency-Key")


def test_a_missing_idempotency_key_is_refused(untouched: RunningService) -> None:
    """The key is required for every operation."""
    answer = untouched.client.post("/authorize-payment", content=GOOD.encode(), headers=JSON)
    assert problem(answer, 400)["rule"] == "required"


@pytest.mark.parametrize("surplus", [0, 1])
def test_a_body_has_at_most_64_kib(untouched: RunningService, surplus: int) -> None:
    """A body at the limit is validated; a longer body is refused for its length."""
    body = b'"' + b"x" * (64 * 1024 - 2 + surplus) + b'"'
    answer = untouched.client.post(
        "/authorize-payment", content=body, headers=JSON | {"Idempotency-Key": "bad"}
    )
    assert problem(answer, 413 if surplus else 422)["code"] == (
        "body_too_large" if surplus else "invalid_message"
    )


def test_a_chunked_body_has_the_same_limit(untouched: RunningService) -> None:
    """A body without an announced length is counted while received."""
    chunks = (b" " * 1024 for _ in range(65))
    answer = untouched.client.post(
        "/authorize-payment", content=chunks, headers=JSON | {"Idempotency-Key": "bad"}
    )
    assert problem(answer, 413)["code"] == "body_too_large"


def test_a_body_that_ends_too_early_has_no_effect(untouched: RunningService) -> None:
    """After a client crash in the middle of a request, the service is ready and has no new row."""
    where = urlsplit(untouched.url)
    head = (
        "POST /authorize-payment HTTP/1.1\r\nHost: x\r\nIdempotency-Key: bad\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(GOOD)}\r\n\r\n"
    )
    with socket.create_connection((where.hostname, where.port), timeout=10) as connection:
        connection.sendall(head.encode() + GOOD.encode()[:-1])
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1024)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/no-such-operation", 404),
        ("GET", "/authorize-payment", 405),
        ("DELETE", "/state/o", 405),
        ("GET", "/state/" + "x" * 65, 422),
        ("GET", "/state/%00", 422),
        ("POST", "/test/gates/a%20b", 422),
    ],
)
def test_unknown_routes_are_answered_with_a_problem(
    untouched: RunningService, method: str, path: str, status: int
) -> None:
    """Routing failures have the form of all failures."""
    problem(untouched.client.request(method, path), status)


@pytest.mark.parametrize(
    ("service", "operation", "message"),
    [
        ("notification", "send-receipt", notice("o") | {"subject": ""}),
        ("notification", "tell-customer", notice("o") | {"subject": "x" * 201}),
        ("order", "screen-order", screening("o", "nobody")),
        ("order", "create-order", order("o", lines="TEA")),
        ("inventory", "reserve-stock", stock("o", sku="tea")),
        ("inventory", "release-stock", stock("o") | {"lines": [{"sku": "TEA-GREEN", "quantity": "2"}]}),
        ("shipping", "create-shipment", parcel("o", "1")),
        ("shipping", "create-shipment", parcel("o") | {"address": {"street": "x"}}),
    ],
)
def test_every_service_refuses_invalid_messages(
    services: dict[str, RunningService], service: str, operation: str, message: dict[str, Any]
) -> None:
    """All services validate requests in the same way."""
    running = services[service]
    rows = running.rows()
    assert problem(running.request(operation, message, "bad"), 422)["code"] == "invalid_message"
    assert running.rows() == rows
