"""One choreographed saga is one trace, over all participants, whatever the broker does."""

from pathlib import Path

import pytest
from opentelemetry.trace import SpanKind

from examples.compare.scenarios import ORDERS, Scenario
from examples.order import facts
from examples.order.messages import Order
from examples.service import SERVICES
from tests.recorded_spans import RecordedSpans, span_id_of, spans
from tests.waiting import until

from .bus import SmallBus
from .facts import order, told
from .test_run_participant import everybody, service

__all__ = ["spans"]

REFUSED = next(each for each in ORDERS if each.name == "shipment-refused")


async def run(path: Path, bus: SmallBus, scenario: Scenario) -> Order:
    """Places an order, and returns when nothing is under way any more."""
    message = scenario.build("7")
    assert isinstance(message, Order)
    async with everybody(path, bus) as services:
        await services.post("order", "/place-order", message.model_dump(mode="json"))
        await services.ends(scenario, "7")
        await until(lambda: bus.is_quiet)
    return message


@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize("scenario", [ORDERS[0], REFUSED], ids=lambda scenario: scenario.name)
async def test_one_saga_is_one_trace(
    tmp_path: Path, spans: RecordedSpans, scenario: Scenario, copies: int
) -> None:
    """From the request that began it to the last event, also where every event comes twice."""
    await run(tmp_path, SmallBus(copies=copies), scenario)

    assert len(spans.traces) == 1
    assert {(span.attributes or {}).get("saga.participant") for span in spans.all} >= set(SERVICES)
    first = [span for span in spans.all if span.parent is None]
    assert len(first) == 1
    for span in spans.all:
        assert spans.path(span)[0] == first[0].name
    handled = [span for span in spans.all if span.kind is SpanKind.CONSUMER]
    repeated = [span for span in handled if (span.attributes or {})["saga.is_repeated"]]
    assert len(repeated) == len(handled) * (copies - 1) / copies


async def test_an_event_is_created_in_the_business_transaction_and_everything_follows_from_there(
    tmp_path: Path, spans: RecordedSpans
) -> None:
    """Sending and handling have the creation as their parent, and link to it."""
    await run(tmp_path, SmallBus(), ORDERS[0])

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


async def test_spans_say_what_the_conventions_for_messaging_ask_for(
    tmp_path: Path, spans: RecordedSpans
) -> None:
    """Who reads traces of other systems can read these."""
    bus = SmallBus()
    async with service(tmp_path, bus) as (running, _):
        await running.hear(told(facts.order_placed, order()))

    (handled,) = spans.named("process order.events:order-placed:inventory.in")
    placed = told(facts.order_placed, order())
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


async def test_an_event_that_cannot_be_published_is_an_error_of_its_span(
    tmp_path: Path, spans: RecordedSpans
) -> None:
    """The span says of which kind, and nothing else of the error."""
    bus = SmallBus()
    bus.is_down = True
    async with service(tmp_path, bus) as (running, _):
        await running.hear(told(facts.order_placed, order()))
        await until(lambda: "send inventory.events:stock-reserved" in spans.names)

    failed = spans.named("send inventory.events:stock-reserved")[0]
    assert (failed.attributes or {})["error.type"] == "BusUnavailableError"
    assert (failed.status.is_ok, failed.status.description, failed.events) == (False, None, ())


async def test_no_span_holds_what_a_customer_said(tmp_path: Path, spans: RecordedSpans) -> None:
    """Neither e-mail nor card nor address is in what leaves the process (P17)."""
    message = await run(tmp_path, SmallBus(), REFUSED)

    told_to_us = message.model_dump_json()
    secrets = [message.customer.email, message.payment.method.token, message.address.street]
    assert all(secret in told_to_us for secret in secrets)
    assert spans.all
    assert [secret for secret in secrets if secret in spans.text()] == []


async def test_without_telemetry_an_event_has_no_context_and_keeps_the_one_it_came_with(
    tmp_path: Path,
) -> None:
    """Who does not trace does not break the traces of others."""
    bus = SmallBus()
    context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    placed = told(facts.order_placed, order("1"))
    traced = told(facts.order_placed, order("2")).model_copy(update={"traceparent": context})
    async with service(tmp_path, bus) as (running, _):
        await running.hear(placed)
        await running.hear(traced)

    assert [event.traceparent for event in bus.published] == [None, context]
