"""Over real HTTP, against real processes: effects happen once, and compensations leave none of them."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import httpx
import pytest

from examples.service_kit.process import SERVICES

from .conftest import Running
from .messages import notice, order, parcel, payment, screening, stock

Messages = Callable[[str], dict[str, Any]]

ACTIONS: dict[str, tuple[str, Messages, tuple[str, ...]]] = {
    # operation: the service, its message, and what must have happened before
    "authorize-payment": ("payment", payment, ()),
    "capture-payment": ("payment", payment, ("authorize-payment",)),
    "send-receipt": ("notification", notice, ()),
    "tell-customer": ("notification", notice, ()),
    "create-order": ("order", order, ()),
    "approve-order": ("order", order, ("create-order",)),
    "reserve-stock": ("inventory", stock, ()),
    "create-shipment": ("shipping", parcel, ()),
}
WITHOUT_EFFECT = {"screen-order"}
COMPENSATIONS = {
    "void-authorization": "authorize-payment",
    "refund-payment": "capture-payment",
    "cancel-order": "create-order",
    "release-stock": "reserve-stock",
}


Asked = tuple[str, dict[str, Any], str]


def at_once(running: Running, asked: list[Asked]) -> list[httpx.Response]:
    """Sends all requests at the same moment, each on a connection of its own."""
    barrier = Barrier(len(asked))

    def send(each: Asked) -> httpx.Response:
        operation, message, key = each
        with httpx.Client(base_url=running.url, timeout=10) as client:
            barrier.wait(timeout=10)
            return client.post(f"/{operation}", json=message, headers={"Idempotency-Key": key})

    with ThreadPoolExecutor(len(asked)) as pool:
        return list(pool.map(send, asked))


def prepare(running: Running, operation: str, order_id: str) -> list[str]:
    """Carries out what must have happened before `operation`."""
    _, message, before = ACTIONS[operation]
    for earlier in before:
        running.ask(earlier, message(order_id), f"{order_id}:{earlier}").raise_for_status()
    return list(before)


def check_conserved(running: Running) -> None:
    answer = running.client.get("/balance")
    if answer.status_code != 404:
        assert answer.json()["is_conserved"], answer.json()


def test_every_operation_of_every_service_is_tested_here() -> None:
    """A new operation cannot be forgotten."""
    operations = {o.name for service in SERVICES.values() for o in service.participant.operations}
    assert operations == set(ACTIONS) | set(COMPENSATIONS) | WITHOUT_EFFECT


@pytest.mark.parametrize("operation", ACTIONS)
def test_five_concurrent_requests_with_one_key_have_one_effect(
    services: dict[str, Running], order_id: str, operation: str
) -> None:
    """All five get the same answer, and the effect is there exactly once."""
    name, message, _ = ACTIONS[operation]
    running = services[name]
    before = prepare(running, operation, order_id)
    answers = at_once(running, [(operation, message(order_id), f"{order_id}:{operation}")] * 5)
    assert [answer.status_code for answer in answers] == [200] * 5
    assert len({answer.text for answer in answers}) == 1
    assert running.state(order_id)["effects"] == [*before, operation]
    check_conserved(running)


@pytest.mark.parametrize("compensation", COMPENSATIONS)
def test_five_concurrent_compensations_take_the_effect_back_once(
    services: dict[str, Running], order_id: str, compensation: str
) -> None:
    """All five say that there was an effect; nothing of it is left, and nothing more was taken."""
    action = COMPENSATIONS[compensation]
    name, message, _ = ACTIONS[action]
    running = services[name]
    before = prepare(running, action, order_id)
    key = f"{order_id}:{action}"
    running.ask(action, message(order_id), key).raise_for_status()
    answers = at_once(running, [(compensation, message(order_id), key)] * 5)
    assert [answer.json() for answer in answers] == [{"found": "effect"}] * 5
    assert running.state(order_id)["effects"] == before
    late = running.ask(action, message(order_id), key)
    assert (late.status_code, late.json()["code"]) == (410, "voided")
    assert running.state(order_id)["effects"] == before
    check_conserved(running)


@pytest.mark.parametrize("compensation", COMPENSATIONS)
def test_a_compensation_before_its_action_leaves_no_effect(
    services: dict[str, Running], order_id: str, compensation: str
) -> None:
    """It finds nothing, and the action is refused when it arrives late."""
    action = COMPENSATIONS[compensation]
    name, message, _ = ACTIONS[action]
    running = services[name]
    before = prepare(running, action, order_id)
    key = f"{order_id}:{action}"
    early = running.ask(compensation, message(order_id), key)
    late = running.ask(action, message(order_id), key)
    assert early.json() == {"found": "nothing"}
    assert (late.status_code, late.json()["code"]) == (410, "voided")
    assert running.state(order_id)["effects"] == before


@pytest.mark.parametrize("compensation", COMPENSATIONS)
def test_an_action_that_races_its_compensation_leaves_no_effect(
    services: dict[str, Running], order_id: str, compensation: str
) -> None:
    """Whoever comes first, the effect was taken back or kept out."""
    action = COMPENSATIONS[compensation]
    name, message, _ = ACTIONS[action]
    running = services[name]
    before = prepare(running, action, order_id)
    key = f"{order_id}:{action}"
    answers = at_once(running, [(action, message(order_id), key), (compensation, message(order_id), key)] * 3)
    assert {answer.status_code for answer in answers} <= {200, 410}
    assert running.state(order_id)["effects"] == before
    check_conserved(running)


@pytest.mark.parametrize("operation", [*ACTIONS, "screen-order"])
def test_a_key_with_other_content_is_refused(
    services: dict[str, Running], order_id: str, operation: str
) -> None:
    """The same key with another message is neither carried out nor answered from the past."""
    name, message, _ = ACTIONS.get(operation, ("order", screening, ()))
    running = services[name]
    if operation in ACTIONS:
        prepare(running, operation, order_id)
    key = f"{order_id}:{operation}"
    running.ask(operation, message(order_id), key).raise_for_status()
    rows = running.rows()
    refused = running.ask(operation, message(f"{order_id}-other"), key)
    assert (refused.status_code, refused.json()["code"]) == (422, "key_reuse")
    assert running.rows() == rows


REFUSALS: list[tuple[str, str, Messages, str, str]] = [
    # service, operation, message, code, field
    (
        "payment",
        "authorize-payment",
        lambda o: payment(o, token="tok_declined"),
        "card_declined",
        "method.token",
    ),
    ("inventory", "reserve-stock", lambda o: stock(o, "SOLD-OUT"), "out_of_stock", "lines.0.quantity"),
    ("inventory", "reserve-stock", lambda o: stock(o, "NO-SUCH"), "unknown_article", "lines.0.sku"),
    (
        "shipping",
        "create-shipment",
        lambda o: parcel(o, "00001"),
        "undeliverable_address",
        "address.postal_code",
    ),
    ("order", "screen-order", lambda o: screening(o, "x@fraud.example"), "suspected_fraud", "customer.email"),
    ("order", "approve-order", order, "order_not_open", "order_id"),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal[3])
def test_a_refusal_is_a_conflict_without_effect(
    services: dict[str, Running], order_id: str, refusal: tuple[str, str, Messages, str, str]
) -> None:
    """The answer has the code and the field, is the same again, and nothing is held of the order."""
    name, operation, message, code, field = refusal
    running = services[name]
    first = running.ask(operation, message(order_id), f"{order_id}:{operation}")
    again = running.ask(operation, message(order_id), f"{order_id}:{operation}")
    assert first.status_code == 409
    assert first.headers["content-type"] == "application/problem+json"
    assert (first.json()["code"], first.json()["field"]) == (code, field)
    assert again.json() == first.json()
    assert running.state(order_id)["effects"] == []


def test_a_capture_needs_an_open_authorization(services: dict[str, Running], order_id: str) -> None:
    """None yet, or a voided one: the capture is refused."""
    running = services["payment"]
    early = running.ask("capture-payment", payment(order_id), f"{order_id}:c1")
    running.ask("authorize-payment", payment(order_id), f"{order_id}:a").raise_for_status()
    running.ask("void-authorization", payment(order_id), f"{order_id}:a").raise_for_status()
    voided = running.ask("capture-payment", payment(order_id), f"{order_id}:c2")
    assert [early.json()["code"], voided.json()["code"]] == ["not_authorized"] * 2


def test_a_refused_capture_leaves_the_authorization_open(services: dict[str, Running], order_id: str) -> None:
    """The bank may refuse what it had held; what remains is to void it."""
    running = services["payment"]
    message = payment(order_id, token="tok_capture_refused")
    running.ask("authorize-payment", message, f"{order_id}:a").raise_for_status()
    refused = running.ask("capture-payment", message, f"{order_id}:c")
    assert (refused.status_code, refused.json()["code"]) == (409, "capture_refused")
    assert running.state(order_id)["effects"] == ["authorize-payment"]


def test_an_order_id_is_taken_until_its_order_is_cancelled(
    services: dict[str, Running], order_id: str
) -> None:
    """Another key cannot take the id; once cancelled, the same order may be tried again, another may not."""
    running = services["order"]
    other = order(order_id, amount=501)
    running.ask("create-order", order(order_id), f"{order_id}:1").raise_for_status()
    while_open = [
        running.ask("create-order", each, f"{order_id}:{each['amount']}") for each in (other, order(order_id))
    ]
    running.ask("cancel-order", order(order_id), f"{order_id}:1").raise_for_status()
    changed = running.ask("create-order", other, f"{order_id}:3")
    again = running.ask("create-order", order(order_id), f"{order_id}:2")
    assert [answer.json().get("code") for answer in (*while_open, changed)] == ["duplicate_order"] * 3
    assert again.status_code == 200
    assert running.state(order_id)["status"] == "pending"


def test_a_late_cancel_does_not_touch_the_next_attempt(services: dict[str, Running], order_id: str) -> None:
    """A compensation takes back the effect of its own key, not that of another attempt."""
    running = services["order"]
    for n in (1, 2):
        running.ask("create-order", order(order_id), f"{order_id}:{n}").raise_for_status()
        if n == 1:
            running.ask("cancel-order", order(order_id), f"{order_id}:1").raise_for_status()
    running.ask("cancel-order", order(order_id), f"{order_id}:1").raise_for_status()
    assert running.state(order_id)["status"] == "pending"


@pytest.mark.parametrize("name", SERVICES)
def test_the_api_is_described_for_every_operation(services: dict[str, Running], name: str) -> None:
    """OpenAPI names the message, the result, the key and the problems, and every reference resolves."""
    text = services[name].client.get("/openapi.json").text
    document = json.loads(text)
    schemas = document["components"]["schemas"]
    for operation in SERVICES[name].participant.operations:
        route = document["paths"][f"/{operation.name}"]["post"]
        body = route["requestBody"]["content"]["application/json"]["schema"]
        result = route["responses"]["200"]["content"]["application/json"]["schema"]
        assert body == {"$ref": f"#/components/schemas/{operation.message.__name__}"}
        assert result == {"$ref": f"#/components/schemas/{operation.result.__name__}"}
        assert [each["name"] for each in route["parameters"] if each["required"]] == ["Idempotency-Key"]
    used = {piece.split('"')[0] for piece in text.split("#/components/schemas/")[1:]}
    assert used <= set(schemas)
