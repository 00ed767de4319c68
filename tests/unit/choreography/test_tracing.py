"""One choreographed saga is one trace across all participants, also with repeated deliveries."""

from pathlib import Path

import pytest
from opentelemetry.trace import SpanKind

from examples.demo.scenario import Scenario
from examples.order import event_types as facts
from examples.order.deployment import SERVICES
from examples.order.messages import Order
from examples.order.scenarios import ORDERS
from tests.recorded_spans import RecordedSpans, span_id_of, spans
from tests.waiting import until

from .fixtures.fake_bus import FakeBus
from .fixtures.sample_events import order, order_event
from .test_participant_runner import run_services, service

__all__ = ["spans"]

REFUSED = next(each for each in ORDERS if each.name == "shipment-refused")


async def run(path: Path, bus: FakeBus, scenario: Scenario) -> Order:
    """Places an order, and waits until every event is handled."""
    message = scenario.build("7")
    assert isinstance(message, Order)
    async with run_services(path, bus) as services:
        await services.post("order", "/place-order", message.model_dump(mode="json"))
        await services.ends(scenario, "7")
        await until(lambda: bus.is_quiet)
    return message


@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize("scenario", [ORDERS[0], REFUSED], ids=lambda scenario: scenario.name)
async def test_one_saga_is_one_trace(
    tmp_path: Path, spans: RecordedSpans, scenario: Scenario, copies: int
) -> None:
    """All spans have the client's request as their root, also when every event is delivered twice."""
    await run(tmp_path, FakeBus(copies=copies), scenario)

    assert len(spans.traces) == 1
    assert {(span.attributes or {}).get("saga.participant") for span in spans.all} >= set(SERVICES)
    first = [span for span in spans.all if span.parent is None]
    assert len(first) == 1
    for span in spans.all:
        assert spans.path(span)[0] == first[0].name
    handled = [span for span in spans.all if span.kind is SpanKind.CONSUMER]
    repeated = [span for span in handled if (span.attributes or {})["saga.is_repeated"]]
    assert len(repeated) == len(handled) * (copies - 1) / copies


async def test_the_creation_of_an_event_is_the_parent_of_its_later_spans(
    tmp_path: Path, spans: RecordedSpans
) -> None:
    """Sending and processing have the creation as their parent, and link to the creation."""
    await run(tmp_path, FakeBus(), ORDERS[0])

    (created,) = spans.named("create order.events:order-placed")
    (sent,) = spans.named("send order.events:order-placed")
    (handled,) = spans.named("process order.events:order-placed:inventory.in")
    (reserved,) = spans.named("reserve-stock")
    (follows,) = spans.named("create inventory.events:stock-reserved")
    assert [span.kind for span in (created, sent, handled)] == [
        SpanKind.PRODUCER,
        SpanKind.CLIENT,
        SpanKind.CONSUMER,
    ]
    asked = spans.parent_of(created)
    assert asked is not None
    assert asked.name == "place-order"
    for span in (sent, handled):
        assert spans.parent_of(span) is created
        assert [link.context.span_id for link in span.links] == [span_id_of(created)]
    for span in (reserved, follows):
        assert spans.parent_of(span) is handled
    assert (reserved.attributes or {})["saga.outcome"] == "done"


async def test_spans_have_the_attributes_of_the_messaging_conventions(
    tmp_path: Path, spans: RecordedSpans
) -> None:
    """The traces look like the traces of other messaging systems."""
    bus = FakeBus()
    async with service(tmp_path, bus) as (running, _):
        await running.handle_event(order_event(facts.order_placed, order()))

    (handled,) = spans.named("process order.events:order-placed:inventory.in")
    placed = order_event(facts.order_placed, order())
    assert handled.attributes == {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "order.events:order-placed:inventory.in",
        "messaging.rabbitmq.destination.routing_key": "order-placed",
        "messaging.message.id": placed.id,
        "messaging.message.conversation_id": placed.saga_id,
        "saga.id": placed.saga_id,
        "saga.participant": "inventory",
        "saga.is_repeated": False,
    }


async def test_a_failed_publish_is_an_error_of_its_span(tmp_path: Path, spans: RecordedSpans) -> None:
    """The span has the type of the error, and not its text."""
    bus = FakeBus()
    bus.is_down = True
    async with service(tmp_path, bus) as (running, _):
        await running.handle_event(order_event(facts.order_placed, order()))
        await until(lambda: "send inventory.events:stock-reserved" in spans.names)

    failed = spans.named("send inventory.events:stock-reserved")[0]
    assert (failed.attributes or {})["error.type"] == "BusUnavailableError"
    assert (failed.status.is_ok, failed.status.description, failed.events) == (False, None, ())


async def test_no_span_holds_personal_data(tmp_path: Path, spans: RecordedSpans) -> None:
    """E-mail, card and address are in no exported span (P17)."""
    message = await run(tmp_path, FakeBus(), REFUSED)

    submitted = message.model_dump_json()
    secrets = [message.customer.email, message.payment.method.token, message.address.street]
    assert all(secret in submitted for secret in secrets)
    assert spans.all
    assert [secret for secret in secrets if secret in spans.text()] == []


async def test_without_telemetry_an_event_keeps_the_context_of_its_cause(
    tmp_path: Path,
) -> None:
    """A service without telemetry does not break the traces of other services."""
    bus = FakeBus()
    context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    placed = order_event(facts.order_placed, order("1"))
    traced = order_event(facts.order_placed, order("2")).model_copy(update={"traceparent": context})
    async with service(tmp_path, bus) as (running, _):
        await running.handle_event(placed)
        await running.handle_event(traced)

    assert [event.traceparent for event in bus.published] == [None, context]
