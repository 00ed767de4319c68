"""Spans go to the endpoint of OpenTelemetry's own variables, at the latest when the process ends."""

from tests.otlp_collector import OtlpCollector, collector

from .test_telemetry import run

__all__ = ["collector"]


def test_spans_are_exported_before_the_process_ends(collector: OtlpCollector) -> None:
    """A process exports all spans even if the process ends at once."""
    ended = run("otlp", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)

    assert (ended.returncode, ended.stderr) == (0, "")
    (request,) = collector.requests
    assert request.path == "/v1/traces"
    for text in (b"a-span", b"a-service", b"order-1"):
        assert text in request.body
