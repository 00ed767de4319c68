"""What participants tell OpenTelemetry; without its SDK, all of this comes to nothing.

Spans are named as its conventions for messaging say. The span in which an event is created goes with the
event, and everything that becomes of the event has it as its parent: one saga is one trace. No span holds
data of an event, or the text of an error, as either may hold secrets.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ._declarations.event import Event
from ._messaging.rabbitmq.layout import exchange_of, queue_of

SAGA_ID = "saga.id"
PARTICIPANT = "saga.participant"
STEP = "saga.step"
OUTCOME = "saga.outcome"
IS_REPEATED = "saga.is_repeated"

_propagator = TraceContextTextMapPropagator()


def obeying(command: str, saga_id: str, participant: str) -> AbstractContextManager[Span]:
    """A participant does what a command asks for."""
    return _span(command, attributes={SAGA_ID: saga_id, PARTICIPANT: participant})


def carrying_out(operation: str, participant: str) -> AbstractContextManager[Span]:
    """Business code runs behind the fence, whichever style asked for it."""
    return _span(operation, attributes={STEP: operation, PARTICIPANT: participant})


def created(event: Event) -> Event:
    """The event, with the trace context of the span in which it was created; else with the one it has."""
    is_inside = trace.get_current_span().get_span_context().is_valid
    context = None if is_inside else _context_of(event)
    with _span(
        f"create {_destination(event)}",
        SpanKind.PRODUCER,
        context=context,
        attributes={**_message(event, "create"), PARTICIPANT: event.source},
    ):
        carrier: dict[str, str] = {}
        _propagator.inject(carrier)
    traceparent = carrier.get("traceparent", event.traceparent)
    return event.model_copy(update={"traceparent": traceparent})


def sending(event: Event) -> AbstractContextManager[Span]:
    """A relay publishes an event."""
    context = _context_of(event)
    return _span(
        f"send {_destination(event)}",
        SpanKind.CLIENT,
        context=context,
        links=_links(context),
        attributes={**_message(event, "send"), PARTICIPANT: event.source},
    )


def processing(event: Event, participant: str) -> AbstractContextManager[Span]:
    """A participant handles a delivery of an event."""
    context = _context_of(event)
    destination = f"{_destination(event)}:{queue_of(participant)}"
    return _span(
        f"process {destination}",
        SpanKind.CONSUMER,
        context=context,
        links=_links(context),
        attributes={
            **_message(event, "process"),
            "messaging.destination.name": destination,
            PARTICIPANT: participant,
        },
    )


def note_outcome(span: Span, *, is_done: bool) -> None:
    """Says on the span of an operation or a command what it came to."""
    span.set_attribute(OUTCOME, "done" if is_done else "rejected")


@contextmanager
def _span(
    name: str,
    kind: SpanKind = SpanKind.INTERNAL,
    *,
    attributes: Mapping[str, str],
    context: Context | None = None,
    links: Sequence[Link] = (),
) -> Generator[Span, None, None]:
    # Asked for each time: who is asked on import is asked before anything is configured.
    tracer = trace.get_tracer("choreography")
    with tracer.start_as_current_span(
        name,
        context,
        kind,
        attributes,
        links,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield span
        except BaseException as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(StatusCode.ERROR)
            raise


def _message(event: Event, operation: str) -> dict[str, str]:
    return {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": _destination(event),
        "messaging.rabbitmq.destination.routing_key": event.type,
        "messaging.message.id": event.id,
        "messaging.message.conversation_id": event.saga_id,
        SAGA_ID: event.saga_id,
    }


def _destination(event: Event) -> str:
    return f"{exchange_of(event.source)}:{event.type}"


def _context_of(event: Event) -> Context:
    """The context in which an event was created; an empty one if nobody knows, never that of the caller."""
    carrier = {"traceparent": event.traceparent} if event.traceparent else {}
    return _propagator.extract(carrier, Context())


def _links(context: Context) -> list[Link]:
    creation = trace.get_current_span(context).get_span_context()
    return [Link(creation)] if creation.is_valid else []
