"""An orchestrated saga is a single trace: client, workflow, child, activities, HTTP, and services."""

import secrets
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind
from temporalio.client import Client, WorkflowFailureError
from temporalio.contrib.opentelemetry import OpenTelemetryPlugin
from temporalio.worker import Replayer, Worker

from activities import HttpParticipant
from choreography import Database, build_schema
from examples.order.deployment import SERVICES
from examples.order.messages import Order
from examples.order.saga import OrderSaga
from examples.order.scenarios import ORDERS
from examples.order.worker import OPERATIONS
from examples.payment.saga import PaymentSaga
from examples.service_kit.http_api import create_app
from sagas import SagaPlugin, start_saga
from tests.recorded_spans import RecordedSpans, span_id_of, spans, spans_on_page
from tests.server.conftest import ConnectClient

__all__ = ["spans"]

WORKFLOWS = [OrderSaga, PaymentSaga]
REFUSED = next(each for each in ORDERS if each.name == "shipment-refused")


@asynccontextmanager
async def participants(path: Path) -> AsyncGenerator[list[HttpParticipant], None]:
    """The services behind their doors, in this process."""
    async with AsyncExitStack() as stack:
        found: list[HttpParticipant] = []
        for name, each in SERVICES.items():
            database = await stack.enter_async_context(
                Database.open(path / name, schema=build_schema(each.participant))
            )
            transport = httpx.ASGITransport(create_app(each, database), raise_app_exceptions=False)
            url = f"http://{name}:hunter2@{name}.example:8001"
            http = await stack.enter_async_context(httpx.AsyncClient(transport=transport))
            found.append(await stack.enter_async_context(HttpParticipant(name, url, client=http)))
        yield found


async def run(client: Client, path: Path, message: Order, *, cached: int = 100) -> str:
    """Runs the order saga to any end, and returns the id."""
    saga_id = f"order-{message.order_id}"
    async with (
        participants(path) as found,
        Worker(
            client,
            task_queue=saga_id,
            workflows=WORKFLOWS,
            activities=[call for each in found for call in each.activities(OPERATIONS)],
            max_cached_workflows=cached,
        ),
    ):
        handle = await start_saga(client, OrderSaga.run, message, id=saga_id, task_queue=saga_id)
        try:
            await handle.result()
        except WorkflowFailureError:
            assert message.address.postal_code == "00001"
    return saga_id


def order(scenario: int) -> Order:
    message = (ORDERS[0], REFUSED)[scenario].build(secrets.token_hex(4))
    assert isinstance(message, Order)
    return message


def counted(found: Sequence[ReadableSpan]) -> Counter[tuple[str, str]]:
    """The number of spans of each name and each step."""
    return Counter((span.name, str((span.attributes or {}).get("saga.step"))) for span in found)


async def test_one_saga_is_one_trace_from_the_client_to_the_business_code(
    connect_client: ConnectClient, tmp_path: Path, spans: RecordedSpans
) -> None:
    """Every span descends from the span of the client, in the order of the calls."""
    client = await connect_client(OpenTelemetryPlugin(add_temporal_spans=True), SagaPlugin())

    saga_id = await run(client, tmp_path, order(0))

    assert len(spans.traces) == 1
    (captured,) = (s for s in spans.named("capture-payment"))
    assert spans.path(captured) == [
        "StartWorkflow:OrderSaga",
        "RunWorkflow:OrderSaga",
        "StartChildWorkflow:PaymentSaga",
        "RunWorkflow:PaymentSaga",
        "StartActivity:capture-payment",
        "RunActivity:capture-payment",
        "POST /capture-payment",
        "POST /capture-payment",
        "capture-payment",
    ]
    asked, answered = spans.named("POST /capture-payment")[::-1]
    assert (asked.kind, answered.kind) == (SpanKind.CLIENT, SpanKind.SERVER)
    assert (asked.attributes or {})["http.response.status_code"] == 200
    assert (asked.attributes or {})["url.full"] == "http://payment.example:8001/capture-payment"
    assert all(spans.path(span)[0] == "StartWorkflow:OrderSaga" for span in spans.all)
    assert spans_on_page("orchestrated") <= {(span.name, span.kind.name.lower()) for span in spans.all}
    (ran,) = spans.named("RunActivity:capture-payment")
    assert (ran.attributes or {}).items() >= {
        ("saga.id", saga_id),
        ("saga.step", "capture-payment"),
        ("saga.outcome", "done"),
    }


@pytest.mark.parametrize("scenario", [0, 1], ids=["completed", "compensated"])
async def test_a_replay_creates_no_span(
    connect_client: ConnectClient, tmp_path: Path, spans: RecordedSpans, scenario: int
) -> None:
    """Neither a worker without a cache nor a replay of a history creates further spans."""
    client = await connect_client(OpenTelemetryPlugin(add_temporal_spans=True), SagaPlugin())
    await run(client, tmp_path, order(scenario))
    once = list(spans.all)

    saga_id = await run(client, tmp_path, order(scenario), cached=0)

    again = spans.all[len(once) :]
    assert counted(again) == counted(once)
    assert len({span_id_of(span) for span in spans.all}) == len(spans.all)
    assert len(spans.traces) == 2
    history = await client.get_workflow_handle(saga_id).fetch_history()
    plugins = [OpenTelemetryPlugin(add_temporal_spans=True), SagaPlugin()]
    await Replayer(workflows=WORKFLOWS, plugins=plugins).replay_workflow(history)
    assert len(spans.all) == len(once) + len(again)


async def test_rejection_and_compensation_are_traced_without_a_secret(
    connect_client: ConnectClient, tmp_path: Path, spans: RecordedSpans
) -> None:
    """Spans have the outcome, but no e-mail, card, address, password or text of an error (P17)."""
    client = await connect_client(OpenTelemetryPlugin(add_temporal_spans=True), SagaPlugin())
    message = order(1)

    await run(client, tmp_path, message)

    (refused,) = spans.named("RunActivity:create-shipment")
    assert (refused.attributes or {})["saga.outcome"] == "rejected"
    assert spans.named("release-stock")
    assert len(spans.traces) == 1
    customer_data = [message.customer.email, message.method.token, message.address.street, "hunter2"]
    texts = ["the carrier does not deliver there", "exception.message", "exception.stacktrace"]
    assert [secret for secret in [*customer_data, *texts] if secret in spans.text()] == []


async def test_without_telemetry_nothing_is_recorded_or_sent(
    connect_client: ConnectClient, tmp_path: Path
) -> None:
    """Neither the history nor a request has a tracing header."""
    client = await connect_client(SagaPlugin())

    saga_id = await run(client, tmp_path, order(0))

    history = await client.get_workflow_handle(saga_id).fetch_history()
    assert "_tracer-data" not in history.to_json()
