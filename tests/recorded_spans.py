"""Spans in memory, as an exporter would receive them."""

import re
from collections.abc import Iterator, Sequence

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.pages import DOCS
from workers._telemetry.tracing import create_tracer_provider


class RecordedSpans:
    """The spans since the start of the test."""

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
        """The recorded parent; None for the first span of a trace."""
        if span.parent is None:
            return None
        found = [each for each in self.all if span_id_of(each) == span.parent.span_id]
        assert len(found) == 1, f"{span.name!r} has a parent that was recorded {len(found)} times"
        return found[0]

    def path(self, span: ReadableSpan) -> list[str]:
        """The names from the first span of the trace to this span."""
        parent = self.parent_of(span)
        return [*(self.path(parent) if parent else []), span.name]

    def text(self) -> str:
        """All exported data as text."""
        return "\n".join(span.to_json() for span in self.all)


def span_id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordedSpans]:
    """Records the spans of this process, as `workers.telemetry` does."""
    exporter = InMemorySpanExporter()
    provider = create_tracer_provider(exporter, service="test", is_batched=False)
    # OpenTelemetry allows one provider per process: a test has to replace the provider by force.
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield RecordedSpans(exporter)
    provider.shutdown()


def spans_on_page(style: str) -> set[tuple[str, str]]:
    """Names and kinds of the spans that docs/telemetry.md lists for a style."""
    page = (DOCS / "telemetry.md").read_text()
    headings, *rows = re.findall(r"^\| (.*) \| (.*) \| (.*) \| (.*) \|$", page, re.MULTILINE)
    at = headings.index(style)
    shown = set[tuple[str, str]]()
    for row in rows:
        names, kinds = re.findall(r"`(.*?)`", row[at]), row[at + 1].split(", ")
        shown |= set(zip(names if len(names) > 1 else names * len(kinds), kinds, strict=True))
    return {(name.replace("…", "capture-payment"), kind) for name, kind in shown}
