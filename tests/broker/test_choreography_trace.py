"""One choreographed saga is one trace across all service processes and a real broker."""

import sys
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from examples.order import event_types as facts
from examples.order.deployment import DEPLOYMENT, SERVICES, TOPOLOGY
from examples.order.scenarios import ORDERS
from examples.stack.service_databases import ServiceDatabases
from examples.stack.styles import Choreographed
from tests.otlp_collector import OtlpCollector, collector
from tests.rabbitmq_node import RabbitMQNode
from tests.recorded_spans import spans_on_page
from tests.waiting import until
from workers import ChildProcess, PortLease

__all__ = ["collector"]

FORWARD = (
    facts.order_placed,
    facts.stock_reserved,
    facts.order_screened,
    facts.payment_authorized,
    facts.payment_captured,
)
PUBLISHED = {
    "all-well": (*FORWARD, facts.shipment_created, facts.order_approved),
    "shipment-refused": (*FORWARD, facts.shipment_refused, facts.order_cancelled),
}
"""The event types of each scenario; every service takes part in both."""


@dataclass(frozen=True, slots=True)
class ExportedSpan:
    """An exported span."""

    service: str
    name: str
    kind: str
    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    attributes: dict[str, str]

    @property
    def is_repetition(self) -> bool:
        """Whether the span belongs to a repeated delivery."""
        return self.attributes.get("saga.is_repeated") == "True"


async def test_one_saga_is_one_trace_across_all_service_processes(
    rabbit: RabbitMQNode, collector: OtlpCollector, tmp_path: Path
) -> None:
    """The root is the client's request; below the root is every creation and every processing of an event."""
    scenarios = {each.name: each for each in ORDERS if each.name in PUBLISHED}
    async with services(tmp_path, rabbit, collector) as style:
        sagas = {
            await style.start(scenario.build(f"traced-{name}")): name for name, scenario in scenarios.items()
        }
        ends = {sagas[saga_id]: await style.wait_until_ended(saga_id) for saga_id in sagas}
    assert ends == {name: scenario.status for name, scenario in scenarios.items()}

    traces: defaultdict[bytes, list[ExportedSpan]] = defaultdict(list)
    for span in exported(collector):
        traces[span.trace_id].append(span)

    assert len(traces) == len(sagas)
    for trace in traces.values():
        (saga_id,) = {span.attributes["saga.id"] for span in trace if "saga.id" in span.attributes}
        check(trace, sagas[saga_id])


def check(trace: list[ExportedSpan], scenario: str) -> None:
    """Every span of a scenario is there, in one tree."""
    spans = {span.span_id: span for span in trace}
    assert len(spans) == len(trace)
    (root,) = (span for span in trace if not span.parent_id)
    assert (root.service, root.name) == ("order", "POST /place-order")
    assert [span.name for span in trace if span.parent_id and span.parent_id not in spans] == []
    assert {span.service for span in trace} == set(SERVICES)

    published = PUBLISHED[scenario]
    created = [(each.source, f"create {each.source}.events:{each.name}") for each in published]
    sent = {(each.source, f"send {each.source}.events:{each.name}") for each in published}
    handled = [
        (name, f"process {each.source}.events:{each.name}:{name}.in")
        for each in published
        for name, received in TOPOLOGY.queues.items()
        if (each.source, each.name) in received
    ]
    # Confirmations and acknowledgements may repeat; the comparison of `send` spans ignores repetitions.
    assert {(span.service, span.name) for span in trace if span.name.startswith("send ")} == sent
    assert names(trace, "create ") == Counter(created)
    assert names(trace, "process ") == Counter(handled)
    assert {service for service, _ in handled} == set(SERVICES)
    assert spans_on_page("choreographed") <= {(span.name, span.kind) for span in trace}


def names(trace: list[ExportedSpan], kind: str) -> Counter[tuple[str, str]]:
    """The spans of a kind with their services, without repeated deliveries."""
    return Counter(
        (span.service, span.name) for span in trace if span.name.startswith(kind) and not span.is_repetition
    )


@asynccontextmanager
async def services(
    folder: Path, rabbit: RabbitMQNode, collector: OtlpCollector
) -> AsyncGenerator[Choreographed, None]:
    """Runs the processes of all services; the processes send the last spans before their end."""
    databases = {name: folder / f"{name}.sqlite3" for name in SERVICES}
    environment = {
        "SAGAS_AMQP_URL": rabbit.url,
        "SAGAS_TELEMETRY": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
    }
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
        urls: dict[str, str] = {}
        started: list[ChildProcess] = []
        for name, database in databases.items():
            lease = PortLease(0)
            stack.callback(lease.release)
            command = ["examples.order.services", name, f"--port={lease.port}", f"--database={database}"]
            service = ChildProcess(
                [sys.executable, "-m", *command],
                name=f"the {name} service",
                log=folder / f"{name}.log",
                environment=environment,
            )
            urls[name] = f"http://127.0.0.1:{lease.port}"
            started.append(await stack.enter_async_context(service))
        await until(lambda: all(is_ready(each) for each in started), within=60)
        records = stack.enter_context(closing(ServiceDatabases(SERVICES, databases)))
        yield Choreographed(http, records, urls, DEPLOYMENT)


def is_ready(service: ChildProcess) -> bool:
    assert service.is_running, service.last_log_lines()
    return " ready at http" in service.last_log_lines(100)


def exported(collector: OtlpCollector) -> Iterator[ExportedSpan]:
    """Every span of every process."""
    for request in collector.requests:
        for of_process in ExportTraceServiceRequest.FromString(request.body).resource_spans:
            service = texts(of_process.resource.attributes)["service.name"]
            for of_scope in of_process.scope_spans:
                for span in of_scope.spans:
                    yield ExportedSpan(
                        service=service,
                        name=span.name,
                        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
                        trace_id=span.trace_id,
                        span_id=span.span_id,
                        parent_id=span.parent_span_id,
                        attributes=texts(span.attributes),
                    )


def texts(pairs: Iterable[KeyValue]) -> dict[str, str]:
    """Attributes with a string or a boolean value, as text."""
    return {pair.key: pair.value.string_value or str(pair.value.bool_value) for pair in pairs}
