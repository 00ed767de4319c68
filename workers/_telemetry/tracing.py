"""Traces: the destination of this process's spans. Only this file imports OpenTelemetry's SDK.

The SDK comes with the extra `telemetry` and is imported only when tracing is on. All other traced code uses
OpenTelemetry's API, which does nothing without an installed SDK.
"""

import sys
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from opentelemetry import trace
from opentelemetry.trace import Status
from opentelemetry.util.types import AttributeValue
from temporalio.client import Plugin

from .._configuration.settings import Settings
from .._errors import ConfigurationError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
    from temporalio.contrib.opentelemetry import ReplaySafeTracerProvider

REDACTED = {"exception.message", "exception.stacktrace"}
"""Attributes of exception events that are removed, because error texts may quote confidential data."""


@contextmanager
def telemetry(settings: Settings, *, service: str) -> Generator[list[Plugin], None, None]:
    """Records spans as configured while the context is open; at most once per process.

    Args:
        settings: Whether spans are recorded, and the destination. The OTLP endpoint comes from
            OpenTelemetry's own variables, such as `OTEL_EXPORTER_OTLP_ENDPOINT`.
        service: The service name of every span.

    Returns:
        The plugins for the Temporal client, to be listed before `SagaPlugin`; empty when tracing is off.

    Raises:
        ConfigurationError: The SDK is not installed.
    """
    if settings.telemetry == "off":
        yield []
        return
    try:
        # Imported here: the module needs the extra.
        from temporalio.contrib.opentelemetry import OpenTelemetryPlugin  # noqa: PLC0415

        is_console = settings.telemetry == "console"
        exporter = _create_console_exporter() if is_console else _create_otlp_exporter()
        provider = create_tracer_provider(exporter, service=service, is_batched=not is_console)
    except ImportError as error:
        raise ConfigurationError(
            f"SAGAS_TELEMETRY is {settings.telemetry!r}, and OpenTelemetry's SDK is not installed; "
            "type: pip install 'durable-sagas[telemetry]'"
        ) from error
    trace.set_tracer_provider(provider)
    try:
        yield [OpenTelemetryPlugin(add_temporal_spans=True)]
    finally:
        provider.shutdown()


def create_tracer_provider(
    exporter: "SpanExporter", *, service: str, is_batched: bool
) -> "ReplaySafeTracerProvider":
    """Creates a tracer provider that passes redacted spans to `exporter`: in batches, or each at its end."""
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor  # noqa: PLC0415
    from temporalio.contrib import opentelemetry as temporal_opentelemetry  # noqa: PLC0415

    provider = temporal_opentelemetry.create_tracer_provider(
        resource=Resource.create({"service.name": service}), shutdown_on_exit=False
    )
    redacting = cast("SpanExporter", _RedactingExporter(exporter))
    provider.add_span_processor(
        BatchSpanProcessor(redacting) if is_batched else SimpleSpanProcessor(redacting)
    )
    return provider


class _RedactingExporter:
    """Exports spans without error texts, and with saga id and step name on Temporal's own spans."""

    def __init__(self, exporter: "SpanExporter") -> None:
        self._exporter = exporter

    def export(self, spans: "Sequence[ReadableSpan]") -> "SpanExportResult":
        return self._exporter.export([_redact(span) for span in spans])

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def _redact(span: "ReadableSpan") -> "ReadableSpan":
    from opentelemetry.sdk.trace import Event, ReadableSpan  # noqa: PLC0415

    attributes = dict(span.attributes or {})
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_saga_attributes(attributes) | attributes,
        events=[
            Event(each.name, _without_error_texts(each.attributes or {}), each.timestamp)
            for each in span.events
        ],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _saga_attributes(attributes: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
    """Derives `saga.id` and `saga.step` from Temporal's attributes; a child's spans get the root's id."""
    derived: dict[str, AttributeValue] = {}
    if (workflow_id := attributes.get("temporalWorkflowID")) is not None:
        derived["saga.id"] = str(workflow_id).partition("/")[0]
    if (activity_id := attributes.get("temporalActivityID")) is not None:
        derived["saga.step"] = str(activity_id)
    return derived


def _without_error_texts(attributes: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
    return {name: value for name, value in attributes.items() if name not in REDACTED}


def _create_otlp_exporter() -> "SpanExporter":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

    return OTLPSpanExporter()


def _create_console_exporter() -> "SpanExporter":
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter  # noqa: PLC0415

    # Stdout is reserved for readiness lines.
    return ConsoleSpanExporter(out=sys.stderr, formatter=_format_line)


def _format_line(span: "ReadableSpan") -> str:
    """Formats a span as a line: trace id, span id, parent id, service, name, duration and attributes."""
    context = span.get_span_context()
    assert context is not None
    parent = f"{span.parent.span_id:016x}" if span.parent else "-" * 16
    milliseconds = ((span.end_time or 0) - (span.start_time or 0)) / 1_000_000
    service = str(span.resource.attributes["service.name"])
    return (
        f"span {context.trace_id:032x} {context.span_id:016x} < {parent}  "
        f"{service}: {span.name}  {milliseconds:.1f} ms  {_pairs((span.attributes or {}).items())}\n"
    )


def _pairs(attributes: Iterable[tuple[str, AttributeValue]]) -> str:
    return " ".join(f"{name}={value!r}" for name, value in attributes)
