"""Spans in memory, as they would be exported."""

from collections.abc import Iterator, Sequence

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from workers._telemetry import tracer_provider


class Spans:
    """Everything that was recorded since the test began."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    @property
    def all(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.all]

    @property
    def traces(self) -> set[int]:
        return {span.context.trace_id for span in self.all if span.context}

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.all if span.name == name]

    def parent_of(self, span: ReadableSpan) -> ReadableSpan | None:
        """The parent, which must have been recorded too; None for the first span of a trace."""
        if span.parent is None:
            return None
        found = [each for each in self.all if id_of(each) == span.parent.span_id]
        assert len(found) == 1, f"{span.name!r} has a parent that was recorded {len(found)} times"
        return found[0]

    def path(self, span: ReadableSpan) -> list[str]:
        """The names from the first span of the trace to this one."""
        parent = self.parent_of(span)
        return [*(self.path(parent) if parent else []), span.name]

    def text(self) -> str:
        """Everything that leaves the process."""
        return "\n".join(span.to_json() for span in self.all)


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spans]:
    """Records what this process does, as `workers.telemetry` would for a whole process."""
    exporter = InMemorySpanExporter()
    provider = tracer_provider(exporter, service="test", at_once=True)
    # OpenTelemetry lets a provider be installed once per process; a test has to take it out again.
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield Spans(exporter)
    provider.shutdown()
