"""Tracing is off by default, and an unusable setting is refused in one sentence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from opentelemetry import trace

from tests.recorded_spans import RecordedSpans, spans
from workers import ConfigurationError, Settings, load_settings, telemetry

__all__ = ["spans"]

ROOT = Path(__file__).parents[3]
PROGRAM = """
import sys
from opentelemetry import trace
from workers import Settings, telemetry

with telemetry(Settings(telemetry=sys.argv[1]), service="a-service") as plugins:
    with trace.get_tracer("t").start_as_current_span("a-span") as span:
        span.set_attribute("saga.id", "order-1")
    print([type(plugin).__name__ for plugin in plugins])
"""


def run(kind: str, program: str = PROGRAM, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Runs a new process: a tracer provider is installed once per process."""
    return subprocess.run(
        [sys.executable, "-c", program, kind],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_tracing_is_off_by_default() -> None:
    """Without plugin and provider, no span is recorded."""
    with telemetry(load_settings(), service="a") as plugins:
        assert plugins == []
        with trace.get_tracer("t").start_as_current_span("a-span") as span:
            assert not span.is_recording()


def test_the_sdk_is_not_imported_while_tracing_is_off() -> None:
    """Processes without tracing do not pay for the import."""
    program = """
import sys, workers, activities, choreography, sagas
with workers.telemetry(workers.load_settings(), service="a"):
    print([name for name in sys.modules if name.startswith("opentelemetry.sdk")])
"""
    assert run("off", program).stdout == "[]\n"


def test_the_console_exporter_prints_a_line_per_span() -> None:
    """The line goes to stderr when the span ends, and names the service."""
    ended = run("console")

    assert (ended.returncode, ended.stdout) == (0, "['OpenTelemetryPlugin']\n")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("span ")
    assert " < ----------------  a-service: a-span  " in line
    assert line.endswith("saga.id='order-1'")


def test_without_the_extra_the_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence shows the command to install."""
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)

    with (
        pytest.raises(ConfigurationError, match=r"SAGAS_TELEMETRY is 'otlp'.*durable-sagas\[telemetry\]"),
        telemetry(Settings(telemetry="otlp"), service="a"),
    ):
        pass


def test_an_unknown_destination_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence lists the valid destinations."""
    monkeypatch.setenv("SAGAS_TELEMETRY", "cloud")

    with pytest.raises(ConfigurationError, match=r"SAGAS_TELEMETRY is 'cloud'.*'off', 'console' or 'otlp'"):
        load_settings()


def test_no_error_text_leaves_the_process(spans: RecordedSpans) -> None:
    """Spans keep the type of an exception, and lose its message (P17)."""
    with (
        pytest.raises(ValueError, match="hunter2"),
        trace.get_tracer("t").start_as_current_span("fails"),
    ):
        raise ValueError("hunter2")

    (span,) = spans.named("fails")
    assert "hunter2" not in spans.text()
    assert [dict(event.attributes or {})["exception.type"] for event in span.events] == ["ValueError"]
    assert not span.status.is_ok
