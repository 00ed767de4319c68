"""Spans go to the endpoint that OpenTelemetry's own variables name, at the latest when the process ends."""

from tests.otlp_collector import Collector, collector

from .test_telemetry import run

__all__ = ["collector"]


def test_spans_are_exported_before_the_process_ends(collector: Collector) -> None:
    """Also those of a process that ends at once."""
    ended = run("otlp", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)

    assert (ended.returncode, ended.stderr) == (0, "")
    ((path, body),) = collector.taken
    assert path == "/v1/traces"
    for said in (b"asked", b"a-service", b"order-1"):
        assert said in body
