"""Telemetry: where the spans of this process go; the only file that knows OpenTelemetry's SDK.

The SDK comes with the extra `telemetry`, and is imported where it is asked for only. Everything else that is
traced, here and in Temporal's own plugin, knows the API, which does nothing as long as nothing is installed.
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

TEXTS = {"exception.message", "exception.stacktrace"}
"""What the event of an exception says in words, which may quote what nobody may read."""


@contextmanager
def telemetry(settings: Settings, *, service: str) -> Generator[list[Plugin], None, None]:
    """Records spans as the settings say, for as long as the context is open; once per process.

    Args:
        settings: Whether, and where to. An OTLP endpoint is taken from OpenTelemetry's own variables:
            `OTEL_EXPORTER_OTLP_ENDPOINT` and its like.
        service: What this process is called in every span.

    Returns:
        The plugins for the Temporal client, to be given before `SagaPlugin`; none where nothing is recorded.

    Raises:
        ConfigurationError: The SDK is not installed.
    """
    if settings.telemetry == "off":
        yield []
        return
    try:
        from temporalio.contrib.opentelemetry import OpenTelemetryPlugin  # noqa: PLC0415 - as the extra is

        is_live = settings.telemetry == "console"
        provider = tracer_provider(_console() if is_live else _otlp(), service=service, at_once=is_live)
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


def tracer_provider(exporter: "SpanExporter", *, service: str, at_once: bool) -> "ReplaySafeTracerProvider":
    """What makes spans, and hands them to `exporter`: one by one as they end, or in batches."""
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor  # noqa: PLC0415
    from temporalio.contrib.opentelemetry import create_tracer_provider  # noqa: PLC0415

    provider = create_tracer_provider(
        resource=Resource.create({"service.name": service}), shutdown_on_exit=False
    )
    discreet = cast("SpanExporter", _Discreet(exporter))
    provider.add_span_processor(SimpleSpanProcessor(discreet) if at_once else BatchSpanProcessor(discreet))
    return provider


class _Discreet:
    """Hands spans on without the text of any error, and with the saga's id and the step on Temporal's own."""

    def __init__(self, exporter: "SpanExporter") -> None:
        self._exporter = exporter

    def export(self, spans: "Sequence[ReadableSpan]") -> "SpanExportResult":
        return self._exporter.export([_discreet(span) for span in spans])

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def _discreet(span: "ReadableSpan") -> "ReadableSpan":
    from opentelemetry.sdk.trace import Event, ReadableSpan  # noqa: PLC0415

    attributes = dict(span.attributes or {})
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_words(attributes) | attributes,
        events=[
            Event(each.name, _without_texts(each.attributes or {}), each.timestamp) for each in span.events
        ],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _words(attributes: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
    """What Temporal's attributes say, in the words of sagas: a child's spans have the id of its root."""
    found = (("saga.id", "temporalWorkflowID"), ("saga.step", "temporalActivityID"))
    words: dict[str, AttributeValue] = {
        word: str(attributes[theirs]) for word, theirs in found if theirs in attributes
    }
    if "saga.id" in words:
        words["saga.id"] = str(words["saga.id"]).partition("/")[0]
    return words


def _without_texts(attributes: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
    return {name: value for name, value in attributes.items() if name not in TEXTS}


def _otlp() -> "SpanExporter":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

    return OTLPSpanExporter()


def _console() -> "SpanExporter":
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter  # noqa: PLC0415

    # Not stdout: there a process says that it is ready.
    return ConsoleSpanExporter(out=sys.stderr, formatter=_line)


def _line(span: "ReadableSpan") -> str:
    """One span as one line: its trace, itself and its parent; who, what, how long, and everything else."""
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
