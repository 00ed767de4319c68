"""What a call over HTTP tells OpenTelemetry; without its SDK, this comes to nothing.

A span holds who was asked for what, and how it ended: no header, no body, no text of an error.
"""

from collections.abc import Generator, MutableMapping
from contextlib import contextmanager
from typing import Literal

import httpx
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from sagas import RejectedError

STATUS = "http.response.status_code"

_propagator = TraceContextTextMapPropagator()


@contextmanager
def calling(participant: str, operation: str, base_url: httpx.URL) -> Generator[trace.Span, None, None]:
    """A participant is asked over HTTP; an answer that refuses is no error of the call."""
    with trace.get_tracer("activities").start_as_current_span(
        f"POST /{operation}",
        kind=SpanKind.CLIENT,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        if span.is_recording():
            span.set_attributes(_request(participant, operation, base_url))
        outcome: Literal["done", "rejected", "unknown"] = "unknown"
        try:
            yield span
            outcome = "done"
        except RejectedError:
            outcome = "rejected"
            raise
        except BaseException as error:
            # The class of what went wrong below, if any: the error of an activity is always the same.
            span.set_attribute("error.type", type(error.__cause__ or error).__name__)
            span.set_status(StatusCode.ERROR)
            raise
        finally:
            span.set_attribute("saga.outcome", outcome)


def carry_on(headers: MutableMapping[str, str]) -> None:
    """Lets who gets these headers go on with the trace: adds `traceparent`, where there is a trace."""
    _propagator.inject(headers)


def _request(participant: str, operation: str, base_url: httpx.URL) -> dict[str, str | int]:
    # Put together from its parts, as a URL may hold a user, a password and a query.
    url = base_url.join(operation)
    port = {} if url.port is None else {"server.port": url.port}
    return {
        "http.request.method": "POST",
        "url.full": f"{url.scheme}://{url.host}{f':{url.port}' if port else ''}{url.path}",
        "url.template": f"/{operation}",
        "server.address": url.host,
        "saga.participant": participant,
        **port,
    }
