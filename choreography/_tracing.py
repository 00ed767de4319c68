"""OpenTelemetry spans of participants; without an installed SDK, no span is recorded.

Span names and attributes follow OpenTelemetry's semantic conventions for messaging. An event carries the
context of the span that created the event; this span is the parent of all later spans of the event, so a saga
is a single trace. No span holds data of an event or the text of an error, because both may hold secrets.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ._declarations.event import Event
from ._declarations.names import exchange_name, queue_name
from ._errors import wire_type_of

SAGA_ID = "saga.id"
PARTICIPANT = "saga.participant"
STEP = "saga.step"
OUTCOME = "saga.outcome"
IS_REPEATED = "saga.is_repeated"

_propagator = TraceContextTextMapPropagator()


def trace_command(command: str, saga_id: str, participant: str) -> AbstractContextManager[Span]:
    """Opens a span for the execution of a command."""
    return _span(command, attributes={SAGA_ID: saga_id, PARTICIPANT: participant})


def trace_operation(operation: str, participant: str) -> AbstractContextManager[Span]:
    """Opens a span for business code behind the fence, in either style."""
    return _span(operation, attributes={STEP: operation, PARTICIPANT: participant})


def trace_creation(event: Event) -> Event:
    """Records the creation of an event, and returns the event with the context of the recorded span.

    Without a recording SDK, the event keeps the context of the cause.
    """
    is_inside = trace.get_current_span().get_span_context().is_valid
    context = None if is_inside else _extract_context(event)
    with _span(
        f"create {_destination(event)}",
        SpanKind.PRODUCER,
        context=context,
        attributes={**_message_attributes(event, "create"), PARTICIPANT: event.source},
    ):
        carrier: dict[str, str] = {}
        _propagator.inject(carrier)
    traceparent = carrier.get("traceparent", event.traceparent)
    return event.model_copy(update={"traceparent": traceparent})


def trace_sending(event: Event) -> AbstractContextManager[Span]:
    """Opens a span for the publication of an event by a relay."""
    context = _extract_context(event)
    return _span(
        f"send {_destination(event)}",
        SpanKind.CLIENT,
        context=context,
        links=_creation_links(context),
        attributes={**_message_attributes(event, "send"), PARTICIPANT: event.source},
    )


def trace_processing(event: Event, participant: str) -> AbstractContextManager[Span]:
    """Opens a span for a delivery of an event to a participant."""
    context = _extract_context(event)
    destination = f"{_destination(event)}:{queue_name(participant)}"
    return _span(
        f"process {destination}",
        SpanKind.CONSUMER,
        context=context,
        links=_creation_links(context),
        attributes={
            **_message_attributes(event, "process"),
            "messaging.destination.name": destination,
            PARTICIPANT: participant,
        },
    )


def set_outcome(span: Span, *, is_done: bool) -> None:
    """Sets the outcome of an operation or a command on the span."""
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
    # Looked up per span: at import time no tracer provider is configured yet.
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
            span.set_attribute("error.type", wire_type_of(error))
            span.set_status(StatusCode.ERROR)
            raise


def _message_attributes(event: Event, operation: str) -> dict[str, str]:
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
    return f"{exchange_name(event.source)}:{event.type}"


def _extract_context(event: Event) -> Context:
    """The context of an event's creation; an empty context if unknown, never the caller's context."""
    carrier = {"traceparent": event.traceparent} if event.traceparent else {}
    return _propagator.extract(carrier, Context())


def _creation_links(context: Context) -> list[Link]:
    creation = trace.get_current_span(context).get_span_context()
    return [Link(creation)] if creation.is_valid else []
