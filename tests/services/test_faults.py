"""The faults that the data of a request chooses are injected over TCP, before or after the commit."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from .conftest import RunningService
from .messages import parcel, payment

LOST = (httpx.RemoteProtocolError, httpx.ReadError)


def authorized(running: RunningService, order_id: str, token: str) -> None:
    message = payment(order_id, token=token)
    running.request("authorize-payment", message, f"{order_id}:authorize").raise_for_status()


def test_after_a_lost_reply_the_effect_is_committed(
    services: dict[str, RunningService], order_id: str
) -> None:
    """The connection is cut after the commit; the retry gets the stored answer."""
    running = services["payment"]
    authorized(running, order_id, "tok_capture_reply_lost")
    message = payment(order_id, token="tok_capture_reply_lost")
    with pytest.raises(LOST):
        running.request("capture-payment", message, f"{order_id}:capture")
    assert running.state(order_id)["effects"] == ["authorize-payment", "capture-payment"]
    assert running.request("capture-payment", message, f"{order_id}:capture").status_code == 200
    assert running.state(order_id)["totals"]["EUR"]["captured"] == 500


def test_every_reply_can_be_lost(services: dict[str, RunningService], order_id: str) -> None:
    """No retry gets a reply; the effect is there once and can be refunded."""
    running = services["payment"]
    authorized(running, order_id, "tok_capture_replies_lost")
    message = payment(order_id, token="tok_capture_replies_lost")
    for _ in range(3):
        with pytest.raises(LOST):
            running.request("capture-payment", message, f"{order_id}:capture")
    assert running.state(order_id)["totals"]["EUR"]["captured"] == 500
    refund = running.request("refund-payment", message, f"{order_id}:capture")
    assert refund.json() == {"found": "effect"}
    assert running.state(order_id)["effects"] == ["authorize-payment"]


def test_the_reply_of_a_shipment_can_be_lost(services: dict[str, RunningService], order_id: str) -> None:
    """One parcel is shipped, although the first reply was lost."""
    running = services["shipping"]
    with pytest.raises(LOST):
        running.request("create-shipment", parcel(order_id, "00002"), f"{order_id}:ship")
    assert (
        running.request("create-shipment", parcel(order_id, "00002"), f"{order_id}:ship").status_code == 200
    )
    assert running.state(order_id)["effects"] == ["create-shipment"]


def test_a_service_can_be_unavailable_once(services: dict[str, RunningService], order_id: str) -> None:
    """The first request gets Retry-After and has no effect."""
    running = services["payment"]
    message = payment(order_id, token="tok_authorize_unavailable_once")
    rows = running.rows()
    first = running.request("authorize-payment", message, f"{order_id}:a")
    assert (first.status_code, first.headers["retry-after"]) == (503, "1")
    assert running.rows() == rows
    assert running.request("authorize-payment", message, f"{order_id}:a").status_code == 200


def test_a_service_can_be_slow(services: dict[str, RunningService], order_id: str) -> None:
    """The usual answer arrives after some hundred milliseconds."""
    authorized(services["payment"], order_id, "tok_capture_slow")
    message = payment(order_id, token="tok_capture_slow")
    capture = services["payment"].request("capture-payment", message, f"{order_id}:c")
    shipment = services["shipping"].request("create-shipment", parcel(order_id, "00003"), f"{order_id}:s")
    for answer in (capture, shipment):
        assert answer.status_code == 200
        assert answer.elapsed.total_seconds() >= 0.3


@pytest.mark.parametrize("name", ["payment", "shipping"])
def test_a_gated_request_waits_before_its_effect(
    services: dict[str, RunningService], order_id: str, name: str
) -> None:
    """The request has arrived, and has no effect until the gate of its order is opened."""
    running = services[name]
    before: list[str] = []
    operation, message = "create-shipment", parcel(order_id, "00004")
    if name == "payment":
        authorized(running, order_id, "tok_capture_gated")
        before = ["authorize-payment"]
        operation, message = "capture-payment", payment(order_id, token="tok_capture_gated")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(running.request, operation, message, f"{order_id}:gated")
        assert running.client.get(f"/test/gates/{order_id}").json()["gate"] == "reached"
        held = running.state(order_id)["effects"]
        running.client.post(f"/test/gates/{order_id}").raise_for_status()
        answer = waiting.result(timeout=10)
    assert held == before
    assert answer.status_code == 200
    assert running.state(order_id)["effects"] == [*before, operation]


def test_a_gate_may_be_opened_beforehand(services: dict[str, RunningService], order_id: str) -> None:
    """A gate that was opened before the request arrives lets the request pass."""
    running = services["shipping"]
    running.client.post(f"/test/gates/{order_id}").raise_for_status()
    assert running.request("create-shipment", parcel(order_id, "00004"), f"{order_id}:s").status_code == 200


def test_a_request_overtaken_by_its_compensation_is_voided(
    services: dict[str, RunningService], order_id: str
) -> None:
    """The action waits inside the service while its compensation runs, and then has no effect."""
    running = services["payment"]
    authorized(running, order_id, "tok_capture_gated")
    message = payment(order_id, token="tok_capture_gated")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(running.request, "capture-payment", message, f"{order_id}:c")
        running.client.get(f"/test/gates/{order_id}").raise_for_status()
        refund = running.request("refund-payment", message, f"{order_id}:c")
        running.client.post(f"/test/gates/{order_id}").raise_for_status()
        late = waiting.result(timeout=10)
    assert refund.json() == {"found": "nothing"}
    assert (late.status_code, late.json()["code"]) == (410, "voided")
    assert running.state(order_id)["effects"] == ["authorize-payment"]
