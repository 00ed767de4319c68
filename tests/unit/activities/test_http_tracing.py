"""An HTTP call is a span with participant and outcome, and the request carries the trace context."""

import httpx
import pytest
from opentelemetry import trace
from temporalio.exceptions import ApplicationError

from activities import HttpParticipant
from sagas import RejectedError
from tests.recorded_spans import RecordedSpans, span_id_of, spans

from .cinema import RESERVE_SEAT, Seat, problem

__all__ = ["spans"]


async def call_in_span(
    answer: httpx.Response | Exception, *, url: str = "http://cinema.example"
) -> httpx.Request:
    """Calls the participant inside a span, and returns the request."""
    requests: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as client:
        cinema = HttpParticipant("cinema", url, client=client)
        with trace.get_tracer("t").start_as_current_span("caller"):
            try:
                await cinema.call(RESERVE_SEAT, Seat(row=7), "key")
            except (RejectedError, ApplicationError):
                assert not isinstance(answer, httpx.Response) or answer.status_code != 200
    return requests[0]


async def test_the_request_carries_the_trace_context(spans: RecordedSpans) -> None:
    """The service finds the span of the call in `traceparent`."""
    request = await call_in_span(httpx.Response(200, json={"row": 7}))

    (call,) = spans.named("POST /reserve-seat")
    assert spans.path(call) == ["caller", "POST /reserve-seat"]
    assert request.headers["traceparent"].split("-")[2] == f"{span_id_of(call):016x}"
    assert call.attributes == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "url.full": "http://cinema.example/reserve-seat",
        "url.template": "/reserve-seat",
        "server.address": "cinema.example",
        "saga.participant": "cinema",
        "saga.outcome": "done",
    }


@pytest.mark.parametrize(
    ("answer", "outcome", "error"),
    [
        (httpx.Response(409, content=problem("sold_out")), "rejected", None),
        (httpx.Response(503), "unknown", "ApplicationError"),
        (httpx.ConnectError("hunter2"), "unknown", "ConnectError"),
    ],
)
async def test_the_span_has_the_outcome(
    spans: RecordedSpans, answer: httpx.Response | Exception, outcome: str, error: str | None
) -> None:
    """A rejection is an answer; an unknown outcome is an error, recorded without its text."""
    await call_in_span(answer)

    (call,) = spans.named("POST /reserve-seat")
    attributes = dict(call.attributes or {})
    assert (attributes["saga.outcome"], attributes.get("error.type")) == (outcome, error)
    assert call.status.is_ok is (error is None)
    assert "hunter2" not in spans.text()


async def test_credentials_of_the_url_stay_out_of_the_span(spans: RecordedSpans) -> None:
    """User and password of a service are secrets."""
    await call_in_span(httpx.Response(200, json={"row": 7}), url="https://ada:hunter2@cinema.example:8443/v1")

    (call,) = spans.named("POST /reserve-seat")
    assert (call.attributes or {})["url.full"] == "https://cinema.example:8443/v1/reserve-seat"
    assert "hunter2" not in spans.text()


async def test_without_tracing_the_request_has_no_trace_context() -> None:
    """No header is added."""
    request = await call_in_span(httpx.Response(200, json={"row": 7}))

    assert "traceparent" not in request.headers
