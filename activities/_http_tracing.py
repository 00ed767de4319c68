"""Tracing of HTTP calls to participants; without OpenTelemetry's SDK, tracing does nothing.

A span records participant, operation and outcome, and no header, body or error text.
"""

from collections.abc import Generator, MutableMapping
from contextlib import contextmanager
from typing import Literal

import httpx
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from sagas import RejectedError, SagaError

STATUS = "http.response.status_code"

_propagator = TraceContextTextMapPropagator()
TRACE_HEADERS = frozenset(_propagator.fields)
"""The headers that carry the trace context."""


@contextmanager
def trace_call(
    participant: str, method: str, template: str, base_url: httpx.URL
) -> Generator[trace.Span, None, None]:
    """Records a call as a span with its outcome; a rejection is an answer, and not an error of the call.

    The span has the path without the values of the message, because the values may be personal data.
    """
    with trace.get_tracer("activities").start_as_current_span(
        f"{method} {template}",
        kind=SpanKind.CLIENT,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        if span.is_recording():
            span.set_attributes(_request_attributes(participant, method, template, base_url))
        outcome: Literal["done", "rejected", "unknown"] = "unknown"
        try:
            yield span
            outcome = "done"
        except RejectedError:
            outcome = "rejected"
            raise
        except BaseException as error:
            # The cause has the informative class: every unknown outcome is raised as the same class.
            cause = error.__cause__ or error
            kind = cause.wire_type if isinstance(cause, SagaError) else type(cause).__name__
            span.set_attribute("error.type", kind)
            span.set_status(StatusCode.ERROR)
            raise
        finally:
            span.set_attribute("saga.outcome", outcome)


def inject_trace_context(headers: MutableMapping[str, str]) -> None:
    """Adds the trace context to the headers of a request; adds nothing outside a trace."""
    _propagator.inject(headers)


def _request_attributes(
    participant: str, method: str, template: str, base_url: httpx.URL
) -> dict[str, str | int]:
    # Composed from parts, because the URL may contain user and password.
    port = {} if base_url.port is None else {"server.port": base_url.port}
    origin = f"{base_url.scheme}://{base_url.host}{f':{base_url.port}' if port else ''}"
    return {
        "http.request.method": method,
        "url.full": f"{origin}{base_url.path.rstrip('/')}{template}",
        "url.template": template,
        "server.address": base_url.host,
        "saga.participant": participant,
        **port,
    }
