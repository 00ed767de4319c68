"""Encodes and decodes events as CloudEvents 1.0 in structured JSON.

Only the body is decoded. Broker and dead letters hold the same bytes. The `ce-*` headers repeat the
attributes for the console of the broker and for routing tools.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite
from typing import Final

from pydantic import JsonValue, ValidationError

from sagas import invalid_fields

from .._declarations.event import LONGEST_ATTRIBUTE, Event, is_attribute
from .._declarations.names import NAME_RULE, is_name
from .._errors import ContractError, DeadLetterError

CONTENT_TYPE: Final = "application/cloudevents+json"
LARGEST_BODY: Final = 256 * 1024
"""Bytes; for more data, an event carries a reference to the data."""
VERSION: Final = 1
"""The newest version of the content of events that this code reads, and the version that this code writes."""

_TYPE = re.compile(r"(?P<name>[^.]+)\.v(?P<version>[1-9][0-9]{0,8})")
_TIME = re.compile(r"[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})")
_REQUIRED = {"specversion", "id", "source", "type", "time", "datacontenttype", "correlationid", "data"}
_OPTIONAL = {"causationid", "traceparent"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerMessage:
    """A message on a broker: the body, and the properties for a broker and a console."""

    body: bytes
    content_type: str | None
    headers: Mapping[str, object] = field(default_factory=dict[str, object])
    message_id: str | None = None
    type: str | None = None
    correlation_id: str | None = None
    app_id: str | None = None
    timestamp: datetime | None = None


def encode(event: Event) -> BrokerMessage:
    """Encodes an event; equal events give equal bytes.

    Raises:
        ContractError: The event is too large, has an invalid name or time, or has data outside of JSON.
    """
    attributes = _build_attributes(event)
    try:
        # The model accepts not-a-number, which JSON lacks, and lone surrogates, which UTF-8 lacks.
        body = json.dumps(
            {**attributes, "data": event.data}, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        ).encode()
    except (ValueError, RecursionError) as error:
        raise _unpublishable(event, f"the data is not JSON ({type(error).__name__})") from error
    if len(body) > LARGEST_BODY:
        raise _unpublishable(event, f"the body has {len(body)} bytes; the limit is {LARGEST_BODY}")
    return BrokerMessage(
        body=body,
        content_type=CONTENT_TYPE,
        headers={f"ce-{name}": text for name, text in attributes.items()},
        message_id=event.id,
        type=attributes["type"],
        correlation_id=event.saga_id,
        app_id=event.source,
        # AMQP counts seconds since 1970 and has no earlier time; the body holds the exact time.
        timestamp=event.time if event.time.timestamp() >= 0 else None,
    )


def decode(body: bytes, content_type: str | None) -> Event:
    """Decodes an event from any bytes of any sender.

    Args:
        body: The body as received.
        content_type: The declared content type.

    Raises:
        DeadLetterError: The body is not an event, for the given reason. No other error is raised.
    """
    if (content_type or "").partition(";")[0].strip().lower() != CONTENT_TYPE:
        raise DeadLetterError(f"the content type is {_shorten(content_type)}, not {CONTENT_TYPE!r}")
    if len(body) > LARGEST_BODY:
        raise DeadLetterError(f"the body has {len(body)} bytes; the limit is {LARGEST_BODY}")
    document = _parse_json(body)
    if missing := sorted(_REQUIRED - document.keys()):
        raise DeadLetterError(f"attribute {missing[0]!r} is missing")
    if unknown := sorted(document.keys() - _REQUIRED - _OPTIONAL):
        raise DeadLetterError(f"attribute {_shorten(unknown[0])} is unknown")
    _check_value(document, "specversion", "1.0")
    _check_value(document, "datacontenttype", "application/json")
    return _build_event(document)


def _build_attributes(event: Event) -> dict[str, str]:
    for attribute, text in (("type", event.type), ("source", event.source)):
        if not is_name(text):
            raise _unpublishable(event, f"{attribute!r} is not a valid name: use {NAME_RULE}")
    try:
        time = event.time.astimezone(UTC).isoformat().replace("+00:00", "Z")
    except OverflowError as error:
        raise _unpublishable(event, "the time is outside of the calendar") from error
    attributes = {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": f"{event.type}.v{VERSION}",
        "time": time,
        "datacontenttype": "application/json",
        "correlationid": event.saga_id,
    }
    if event.causation_id is not None:
        attributes["causationid"] = event.causation_id
    if event.traceparent is not None:
        attributes["traceparent"] = event.traceparent
    for name, text in attributes.items():
        if not is_attribute(text):
            raise _unpublishable(event, f"{name!r} must have 1 to {LONGEST_ATTRIBUTE} bytes of UTF-8")
    return attributes


def _unpublishable(event: Event, reason: str) -> ContractError:
    return ContractError(
        f"event {_shorten(event.type)} of {_shorten(event.source)} cannot be published: {reason}"
    )


def _parse_json(body: bytes) -> dict[str, JsonValue]:
    try:
        document: JsonValue = json.loads(
            body.decode(),
            object_pairs_hook=_parse_object,
            parse_constant=_refuse_constant,
            parse_float=_parse_float,
        )
    except DeadLetterError:
        raise
    except RecursionError as error:
        raise DeadLetterError("the body is nested too deeply") from error
    except ValueError as error:  # includes invalid UTF-8, and integers of more than 4300 digits
        raise DeadLetterError(f"the body is not JSON in UTF-8 ({type(error).__name__})") from error
    if not isinstance(document, dict):
        raise DeadLetterError("the body is not a JSON object")
    # A JSON escape can spell a lone surrogate, which UTF-8 cannot encode again.
    if b"\\ud" in body.lower() and not _is_unicode(document):
        raise DeadLetterError("a text has a lone surrogate")
    return document


def _is_unicode(document: JsonValue) -> bool:
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _parse_object(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise DeadLetterError(f"an object has the name {_shorten(repeated)} twice")
    return found


def _refuse_constant(constant: str) -> JsonValue:
    raise DeadLetterError(f"{constant} is not a number in JSON")


def _parse_float(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise DeadLetterError("a number is too large")
    return number


def _build_event(document: dict[str, JsonValue]) -> Event:
    data = document["data"]
    if not isinstance(data, dict):
        raise DeadLetterError("attribute 'data' is not a JSON object")
    source = _read_text(document, "source")
    if not is_name(source):
        raise DeadLetterError(f"attribute 'source' is not a valid name: {_shorten(source)}")
    try:
        return Event(
            id=_read_text(document, "id"),
            type=_read_type(document),
            source=source,
            saga_id=_read_text(document, "correlationid"),
            causation_id=_read_text(document, "causationid") if "causationid" in document else None,
            time=_read_time(document),
            data=data,
            traceparent=_read_text(document, "traceparent") if "traceparent" in document else None,
        )
    except ValidationError as error:
        # Only the attribute: the rest of the location holds names from the data, which may be secrets.
        first = invalid_fields(error)[0]
        raise DeadLetterError(f"attribute {first.path.partition('.')[0]!r}: {first.rule}") from None


def _read_type(document: dict[str, JsonValue]) -> str:
    text = _read_text(document, "type")
    found = _TYPE.fullmatch(text)
    if found is None or not is_name(found["name"]):
        raise DeadLetterError(f"attribute 'type' is not a name with a version: {_shorten(text)}")
    if int(found["version"]) > VERSION:
        raise DeadLetterError(
            f"attribute 'type' is {text!r}, and the newest version that this consumer reads is {VERSION}"
        )
    return found["name"]


def _read_time(document: dict[str, JsonValue]) -> datetime:
    text = _read_text(document, "time")
    try:
        if _TIME.fullmatch(text):
            return datetime.fromisoformat(text)
    except ValueError:
        pass
    raise DeadLetterError(f"attribute 'time' is not an RFC 3339 time: {_shorten(text)}")


def _read_text(document: dict[str, JsonValue], name: str) -> str:
    text = document[name]
    if not isinstance(text, str) or not is_attribute(text):
        raise DeadLetterError(f"attribute {name!r} is not a string of 1 to {LONGEST_ATTRIBUTE} bytes")
    return text


def _check_value(document: dict[str, JsonValue], name: str, value: str) -> None:
    if document[name] != value:
        raise DeadLetterError(f"attribute {name!r} is {_shorten(document[name])}, not {value!r}")


def _shorten(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
