"""Invalid input is refused with 4xx and a problem with field, rule and code; no row is written (P19)."""

import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from .conftest import RunningService
from .messages import notice, order, parcel, payment, screening, stock

JSON = {"Content-Type": "application/json"}
GOOD = json.dumps(payment("o"))


def changed(path: str, value: object) -> str:
    """A good payment with one value replaced, or added."""
    message: dict[str, Any] = payment("o")
    *parents, last = path.split(".")
    place = message
    for parent in parents:
        place = place[parent]
    place[last] = value
    return json.dumps(message)


def without(field: str) -> str:
    return json.dumps({name: value for name, value in payment("o").items() if name != field})


MALFORMED: dict[str, tuple[str | bytes, str]] = {
    # name: body, rule
    "empty": ("", "not_json"),
    "not json": ("amount=5", "not_json"),
    "truncated": (GOOD[:-1], "not_json"),
    "text after the object": (GOOD + "x", "not_json"),
    "single quotes": (GOOD.replace('"', "'"), "not_json"),
    "trailing comma": (GOOD[:-1] + ",}", "not_json"),
    "comment": (GOOD[:-1] + "/* */}", "not_json"),
    "NaN": (GOOD.replace("500", "NaN"), "not_a_number"),
    "Infinity": (GOOD.replace("500", "Infinity"), "not_a_number"),
    "minus Infinity": (GOOD.replace("500", "-Infinity"), "not_a_number"),
    "duplicate field": (GOOD[:-1] + ', "amount": 1}', "duplicate_field"),
    "duplicate field inside": (GOOD.replace('"id": "ada"', '"id": "ada", "id": "eve"'), "duplicate_field"),
    "duplicate by escape": (GOOD[:-1] + ', "\\u0061mount": 1}', "duplicate_field"),
    "deep lists": ("[" * 20_000 + "]" * 20_000, "too_deep"),
    "deep objects": ('{"a":' * 10_000 + "1" + "}" * 10_000, "too_deep"),
    "deep and unfinished": ("[" * 60_000, "too_deep"),
    "just too deep": (GOOD[:-1] + ', "x": ' + "[" * 32 + "]" * 32 + "}", "too_deep"),
    "string without end": ('"' + '\\"' * 30_000, "not_json"),
    "lone surrogate": (GOOD.replace("ada@", "\\ud800@"), "not_storable"),
    "lone surrogate as name": (GOOD[:-1] + ', "\\udfff": 1}', "not_storable"),
    "lone surrogate in a list": (GOOD[:-1] + ', "x": [["\\ud800"]]}', "not_storable"),
    "NUL": (GOOD.replace("ada@", "\\u0000@"), "not_storable"),
    "raw control character": (GOOD.replace("ada@", "\n@"), "not_json"),
    "number of 5000 digits": (GOOD.replace("500", "5" * 5000), "number_too_long"),
    "UTF-16": (GOOD.encode("utf-16"), "not_utf_8"),
    "Latin-1": (GOOD.replace("ada", "adé").encode("latin-1"), "not_utf_8"),
    "byte order mark": (GOOD.encode("utf-8-sig"), "not_json"),
}

INVALID: dict[str, tuple[str, str | None, str]] = {
    # name: body, field, rule
    "null": ("null", None, "model_type"),
    "a list": ("[]", None, "model_type"),
    "a number": ("5", None, "model_type"),
    "empty object": ("{}", "order_id", "missing"),
    "unknown field": (changed("colour", "red"), "colour", "extra_forbidden"),
    "unknown field inside": (changed("customer.colour", "red"), "customer.colour", "extra_forbidden"),
    "misspelt field": (changed("ammount", 5), "ammount", "extra_forbidden"),
    "missing amount": (without("amount"), "amount", "missing"),
    "missing customer": (without("customer"), "customer", "missing"),
    "missing method": (without("method"), "method", "missing"),
    "amount as text": (changed("amount", "500"), "amount", "int_type"),
    "amount with a fraction": (changed("amount", 0.1), "amount", "int_type"),
    "amount as a float": (changed("amount", 500.0), "amount", "int_type"),
    "amount as an exponent": (GOOD.replace("500", "1e30"), "amount", "int_type"),
    "amount true": (GOOD.replace("500", "true"), "amount", "int_type"),
    "amount null": (changed("amount", None), "amount", "int_type"),
    "amount list": (changed("amount", [5]), "amount", "int_type"),
    "order id empty": (changed("order_id", ""), "order_id", "string_pattern_mismatch"),
    "order id too long": (changed("order_id", "x" * 65), "order_id", "string_pattern_mismatch"),
    "order id with a path": (changed("order_id", "../etc"), "order_id", "string_pattern_mismatch"),
    "order id with a newline": (changed("order_id", "o\n"), "order_id", "string_pattern_mismatch"),
    "order id with a quote": (changed("order_id", "o'; drop"), "order_id", "string_pattern_mismatch"),
    "order id a number": (changed("order_id", 5), "order_id", "string_type"),
    "currency too long": (changed("currency", "EURO"), "currency", "string_too_long"),
    "currency empty": (changed("currency", ""), "currency", "string_too_short"),
    "email without at": (changed("customer.email", "ada"), "customer.email", "string_pattern_mismatch"),
    "email too long": (changed("customer.email", "a@" + "b" * 260), "customer.email", "string_too_long"),
    "customer a text": (changed("customer", "ada"), "customer", "model_type"),
    "card number as token": (
        changed("method.token", "4242424242424242"),
        "method.token",
        "string_pattern_mismatch",
    ),
    "five last digits": (changed("method.last_four", "42424"), "method.last_four", "string_pattern_mismatch"),
}

REFUSED: dict[str, tuple[str, str, dict[str, Any], str, str]] = {
    # name: service, operation, message, code, field; valid messages that break a business rule
    "amount 0": ("payment", "authorize-payment", payment("o", amount=0), "amount_out_of_range", "amount"),
    "amount -5": ("payment", "authorize-payment", payment("o", amount=-5), "amount_out_of_range", "amount"),
    "amount 2^63": (
        "payment",
        "authorize-payment",
        payment("o", amount=2**63),
        "amount_out_of_range",
        "amount",
    ),
    "amount 10^30": (
        "payment",
        "capture-payment",
        payment("o", amount=10**30),
        "amount_out_of_range",
        "amount",
    ),
    "currency XXX": (
        "payment",
        "authorize-payment",
        payment("o") | {"currency": "XXX"},
        "unsupported_currency",
        "currency",
    ),
    "currency eur": ("order", "create-order", order("o", currency="eur"), "unsupported_currency", "currency"),
    "method cash": (
        "payment",
        "authorize-payment",
        payment("o") | {"method": payment("o")["method"] | {"type": "cash"}},
        "unknown_method",
        "method.type",
    ),
    "no lines": ("inventory", "reserve-stock", {"order_id": "o", "lines": []}, "empty_order", "lines"),
    "51 lines": (
        "shipping",
        "create-shipment",
        parcel("o") | {"lines": [{"sku": f"A{n}", "quantity": 1} for n in range(51)]},
        "empty_order",
        "lines",
    ),
    "quantity 0": (
        "inventory",
        "reserve-stock",
        stock("o", quantity=0),
        "quantity_out_of_range",
        "lines.0.quantity",
    ),
    "quantity 2^63": (
        "inventory",
        "reserve-stock",
        stock("o", quantity=2**63),
        "quantity_out_of_range",
        "lines.0.quantity",
    ),
    "one article twice": (
        "order",
        "create-order",
        order("o", lines=stock("o")["lines"] * 2),
        "repeated_article",
        "lines",
    ),
}


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
