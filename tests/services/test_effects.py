"""Over real HTTP, against real processes: actions take effect once, and compensations leave no effect."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import httpx
import pytest

from examples.order.deployment import SERVICES

from .conftest import RunningService
from .messages import notice, order, parcel, payment, screening, stock

Messages = Callable[[str], dict[str, Any]]

ACTIONS: dict[str, tuple[str, Messages, tuple[str, ...]]] = {
    # operation: the service, the message, and the operations required before
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


Request = tuple[str, dict[str, Any], str]


def send_concurrently(running: RunningService, requests: list[Request]) -> list[httpx.Response]:
    """Sends all requests at the same time, each on its own connection."""
    barrier = Barrier(len(requests))

    def send(each: Request) -> httpx.Response:
        operation, message, key = each
        with httpx.Client(base_url=running.url, timeout=10) as client:
            barrier.wait(timeout=10)
            return client.post(f"/{operation}", json=message, headers={"Idempotency-Key": key})

    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(send, requests))


def prepare(running: RunningService, operation: str, order_id: str) -> list[str]:
    """Runs the operations required before `operation`."""
    _, message, before = ACTIONS[operation]
    for earlier in before:
        running.request(earlier, message(order_id), f"{order_id}:{earlier}").raise_for_status()
    return list(before)


def check_conserved(running: RunningService) -> None:
    answer = running.client.get("/balance")
    if answer.status_code != 404:
        assert answer.json()["is_conserved"], answer.json()


def test_this_module_covers_every_operation_of_every_service() -> None:
    """A new operation without a test here fails this test."""
    operations = {o.name for service in SERVICES.values() for o in service.participant.operations}
    assert operations == set(ACTIONS) | set(COMPENSATIONS) | WITHOUT_EFFECT


@pytest.mark.parametrize("operation", ACTIONS)
def test_five_concurrent_requests_with_one_key_have_one_effect(
    services: dict[str, RunningService], order_id: str, operation: str
) -> None:
    """All five requests get the same answer, and the effect is there exactly once."""
    name, message, _ = ACTIONS[operation]
    running = services[name]
    before = prepare(running, operation, order_id)
    answers = send_concurrently(running, [(operation, message(order_id), f"{order_id}:{operation}")] * 5)
    assert [answer.status_code for answer in answers] == [200] * 5
    assert len({answer.text for answer in answers}) == 1
    assert running.state(order_id)["effects"] == [*before, operation]
    check_conserved(running)


@pytest.mark.parametrize("compensation", COMPENSATIONS)
def test_five_concurrent_compensations_reverse_the_effect_once(
    services: dict[str, RunningService], order_id: str, compensation: str
) -> None:
    """All five requests find the effect, no effect is left, and no other effect is reversed."""
    action = COMPENSATIONS[compensation]
    name, message, _ = ACTIONS[action]
    running = services[name]
    before = prepare(running, action, order_id)
    key = f"{order_id}:{action}"
    running.request(action, message(order_id), key).raise_for_status()
    answers = send_concurrently(running, [(compensation, message(order_id), key)] * 5)
    assert [answer.json() for answer in answers] == [{"found": "effect"}] * 5
    assert running.state(order_id)["effects"] == before
    late = running.request(action, message(order_id), key)
    assert (late.status_code, late.json()["code"]) == (410, "voided")
    assert running.state(order_id)["effects"] == before
    check_conserved(running)


@pytest.mark.parametrize("compensation", COMPENSATIONS)
def test_a_compensation_before_its_action_leaves_no_effect(
    services: dict[str, RunningService], order_id: str, compensation: str
) -> None:
    """The compensation finds no effect, and the late action is refused."""
    action = COMPENSATIONS[compensation]
    name, message, _ = ACTIONS[action]
    running = services[name]
    before = prepare(running, action, order_id)
    key = f"{order_id}:{action}"
    early = running.request(compensation, message(order_id), key)
    late = running.request(action, message(order_id), key)
    assert early.json() == {"found": "nothing"}
    assert (late.status_code, late.json()["code"]) == (410, "voided")
    assert running.state(order_id)["effects"] == before


@pytest.mark.parametrize("compensation", COMPENSATIONS)
def test_an_action_concurrent_with_its_compensation_leaves_no_effect(
    services: dict[str, RunningService], order_id: str, compensation: str
) -> None:
    """In either order, the effect is reversed or prevented."""
    action = COMPENSATIONS[compensation]
    name, message, _ = ACTIONS[action]
    running = services[name]
    before = prepare(running, action, order_id)
    key = f"{order_id}:{action}"
    answers = send_concurrently(
        running, [(action, message(order_id), key), (compensation, message(order_id), key)] * 3
    )
    assert {answer.status_code for answer in answers} <= {200, 410}
    assert running.state(order_id)["effects"] == before
    check_conserved(running)


@pytest.mark.parametrize("operation", [*ACTIONS, "screen-order"])
def test_a_key_with_other_content_is_refused(
    services: dict[str, RunningService], order_id: str, operation: str
) -> None:
    """The same key with another message neither has an effect nor gets the stored answer."""
    name, message, _ = ACTIONS.get(operation, ("order", screening, ()))
    running = services[name]
    if operation in ACTIONS:
        prepare(running, operation, order_id)
    key = f"{order_id}:{operation}"
    running.request(operation, message(order_id), key).raise_for_status()
    rows = running.rows()
    refused = running.request(operation, message(f"{order_id}-other"), key)
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
    services: dict[str, RunningService], order_id: str, refusal: tuple[str, str, Messages, str, str]
) -> None:
    """Repeated answers have the same code and field, and the order has no effect."""
    name, operation, message, code, field = refusal
    running = services[name]
    first = running.request(operation, message(order_id), f"{order_id}:{operation}")
    again = running.request(operation, message(order_id), f"{order_id}:{operation}")
    assert first.status_code == 409
    assert first.headers["content-type"] == "application/problem+json"
    assert (first.json()["code"], first.json()["field"]) == (code, field)
    assert again.json() == first.json()
    assert running.state(order_id)["effects"] == []


def test_a_capture_needs_an_open_authorization(services: dict[str, RunningService], order_id: str) -> None:
    """Without an authorization, or with a voided authorization, the capture is refused."""
    running = services["payment"]
    early = running.request("capture-payment", payment(order_id), f"{order_id}:c1")
    running.request("authorize-payment", payment(order_id), f"{order_id}:a").raise_for_status()
    running.request("void-authorization", payment(order_id), f"{order_id}:a").raise_for_status()
    voided = running.request("capture-payment", payment(order_id), f"{order_id}:c2")
    assert [early.json()["code"], voided.json()["code"]] == ["not_authorized"] * 2


def test_a_refused_capture_leaves_the_authorization_open(
    services: dict[str, RunningService], order_id: str
) -> None:
    """After a refused capture, the authorization still has to be voided."""
    running = services["payment"]
    message = payment(order_id, token="tok_capture_refused")
    running.request("authorize-payment", message, f"{order_id}:a").raise_for_status()
    refused = running.request("capture-payment", message, f"{order_id}:c")
    assert (refused.status_code, refused.json()["code"]) == (409, "capture_refused")
    assert running.state(order_id)["effects"] == ["authorize-payment"]


def test_an_order_id_is_used_until_its_order_is_cancelled(
    services: dict[str, RunningService], order_id: str
) -> None:
    """Another key cannot use the id; after a cancellation, only the same order may be created again."""
    running = services["order"]
    other = order(order_id, amount=501)
    running.request("create-order", order(order_id), f"{order_id}:1").raise_for_status()
    while_open = [
        running.request("create-order", each, f"{order_id}:{each['amount']}")
        for each in (other, order(order_id))
    ]
    running.request("cancel-order", order(order_id), f"{order_id}:1").raise_for_status()
    changed = running.request("create-order", other, f"{order_id}:3")
    again = running.request("create-order", order(order_id), f"{order_id}:2")
    assert [answer.json().get("code") for answer in (*while_open, changed)] == ["duplicate_order"] * 3
    assert again.status_code == 200
    assert running.state(order_id)["status"] == "pending"


def test_a_late_cancellation_leaves_the_next_attempt(
    services: dict[str, RunningService], order_id: str
) -> None:
    """A compensation reverses the effect of its own key, not the effect of another attempt."""
    running = services["order"]
    for n in (1, 2):
        running.request("create-order", order(order_id), f"{order_id}:{n}").raise_for_status()
        if n == 1:
            running.request("cancel-order", order(order_id), f"{order_id}:1").raise_for_status()
    running.request("cancel-order", order(order_id), f"{order_id}:1").raise_for_status()
    assert running.state(order_id)["status"] == "pending"


@pytest.mark.parametrize("name", SERVICES)
def test_openapi_describes_every_operation(services: dict[str, RunningService], name: str) -> None:
    """The document has the message, the result, the key and the problems, and every reference resolves."""
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
