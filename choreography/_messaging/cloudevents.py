"""Events on the wire: CloudEvents 1.0 in structured JSON, with the attributes mirrored for people and tools.

The body alone counts. It is the same bytes in the outbox, on the broker and among the dead letters; the
`ce-*` headers repeat its attributes, so that a broker's console shows them and tools can route by them.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite
from typing import Final

from pydantic import JsonValue, ValidationError

from .._declarations.event import Event
from .._errors import ContractError, DeadLetterError

CONTENT_TYPE: Final = "application/cloudevents+json"
LARGEST_BODY: Final = 256 * 1024
"""Bytes; a larger event carries a reference to its data instead."""
VERSION: Final = 1
"""The newest version of an event's content that this code can read."""

_LONGEST_TEXT = 255
"""Bytes; what AMQP has room for in a property."""
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_TYPE = re.compile(r"(?P<name>[^.]+)\.v(?P<version>[1-9][0-9]{0,8})")
_TIME = re.compile(r"[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})")
_REQUIRED = {"specversion", "id", "source", "type", "time", "datacontenttype", "correlationid", "data"}
_OPTIONAL = {"causationid", "traceparent"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What travels: a body, and beside it what a broker and its console show of it."""

    body: bytes
    content_type: str | None
    headers: Mapping[str, object] = field(default_factory=dict[str, object])
    message_id: str | None = None
    type: str | None = None
    correlation_id: str | None = None
    app_id: str | None = None
    timestamp: datetime | None = None


def is_name(text: str) -> bool:
    """Whether a participant or a type of event may be called so: lower case, words joined by dashes."""
    return len(text) <= 100 and _NAME.fullmatch(text) is not None


def encode(event: Event) -> Message:
    """Writes an event down: the same event gives the same bytes.

    Raises:
        ContractError: It cannot travel: it is too large, has a name that is none, or data that is no JSON.
    """
    attributes = _attributes(event)
    try:
        # A not-a-number is no JSON, and half a surrogate pair no UTF-8; both get past the model.
        body = json.dumps(
            {**attributes, "data": event.data}, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        ).encode()
    except (ValueError, RecursionError) as error:
        raise _cannot_travel(event, f"its data is no JSON ({type(error).__name__})") from error
    if len(body) > LARGEST_BODY:
        raise _cannot_travel(event, f"it has {len(body)} bytes, and {LARGEST_BODY} is the most")
    return Message(
        body=body,
        content_type=CONTENT_TYPE,
        headers={f"ce-{name}": text for name, text in attributes.items()},
        message_id=event.id,
        type=attributes["type"],
        correlation_id=event.saga_id,
        app_id=event.source,
        # AMQP counts seconds from 1970 and knows no earlier time; the body has the exact one.
        timestamp=event.time if event.time.timestamp() >= 0 else None,
    )


def decode(body: bytes, content_type: str | None) -> Event:
    """Reads an event, and refuses whatever is not exactly one.

    Args:
        body: As it came; anybody may have sent it.
        content_type: The one that the message declares.

    Raises:
        DeadLetterError: It is no event of ours, and says why; never anything else.
    """
    if (content_type or "").partition(";")[0].strip().lower() != CONTENT_TYPE:
        raise DeadLetterError(f"the content type is {_shown(content_type)}, not {CONTENT_TYPE!r}")
    if len(body) > LARGEST_BODY:
        raise DeadLetterError(f"the body has {len(body)} bytes, and {LARGEST_BODY} is the most")
    document = _parse(body)
    if missing := sorted(_REQUIRED - document.keys()):
        raise DeadLetterError(f"attribute {missing[0]!r} is missing")
    if unknown := sorted(document.keys() - _REQUIRED - _OPTIONAL):
        raise DeadLetterError(f"attribute {_shown(unknown[0])} is unknown")
    _expect(document, "specversion", "1.0")
    _expect(document, "datacontenttype", "application/json")
    return _event(document)


def _attributes(event: Event) -> dict[str, str]:
    for what, text in (("type", event.type), ("source", event.source)):
        if not is_name(text):
            raise _cannot_travel(event, f"its {what} is no name: lower case, words joined by dashes")
    try:
        time = event.time.astimezone(UTC).isoformat().replace("+00:00", "Z")
    except OverflowError as error:
        raise _cannot_travel(event, "its time is outside of the calendar") from error
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
        if not _fits(text):
            raise _cannot_travel(event, f"{name!r} must have 1 to {_LONGEST_TEXT} bytes of UTF-8")
    return attributes


def _fits(text: str) -> bool:
    try:
        return 0 < len(text.encode()) <= _LONGEST_TEXT
    except UnicodeEncodeError:
        return False


def _cannot_travel(event: Event, why: str) -> ContractError:
    return ContractError(f"event {_shown(event.type)} of {_shown(event.source)} cannot be published: {why}")


def _parse(body: bytes) -> dict[str, JsonValue]:
    try:
        document: JsonValue = json.loads(
            body.decode(), object_pairs_hook=_object, parse_constant=_no_number, parse_float=_number
        )
    except DeadLetterError:
        raise
    except RecursionError as error:
        raise DeadLetterError("the body is nested too deeply") from error
    except ValueError as error:  # also bad UTF-8, and whole numbers of more than 4300 digits
        raise DeadLetterError(f"the body is not JSON in UTF-8 ({type(error).__name__})") from error
    if not isinstance(document, dict):
        raise DeadLetterError("the body is not a JSON object")
    # JSON can spell half a surrogate pair, as nothing else can; it could not be written again.
    if b"\\ud" in body.lower() and not _is_unicode(document):
        raise DeadLetterError("a text has half a surrogate pair")
    return document


def _is_unicode(document: JsonValue) -> bool:
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _object(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise DeadLetterError(f"{_shown(twice)} is there twice")
    return found


def _no_number(constant: str) -> JsonValue:
    raise DeadLetterError(f"{constant} is no number in JSON")


def _number(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise DeadLetterError("a number is too large")
    return number


def _event(document: dict[str, JsonValue]) -> Event:
    data = document["data"]
    if not isinstance(data, dict):
        raise DeadLetterError("attribute 'data' is not a JSON object")
    source = _text(document, "source")
    if not is_name(source):
        raise DeadLetterError(f"attribute 'source' is no name of a participant: {_shown(source)}")
    try:
        return Event(
            id=_text(document, "id"),
            type=_type(document),
            source=source,
            saga_id=_text(document, "correlationid"),
            causation_id=_text(document, "causationid") if "causationid" in document else None,
            time=_time(document),
            data=data,
            traceparent=_text(document, "traceparent") if "traceparent" in document else None,
        )
    except ValidationError as error:
        # Without anything that is in the data, which may be a secret.
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise DeadLetterError(f"attribute {first['loc'][0]!r}: {first['msg']}") from None


def _type(document: dict[str, JsonValue]) -> str:
    text = _text(document, "type")
    found = _TYPE.fullmatch(text)
    if found is None or not is_name(found["name"]):
        raise DeadLetterError(f"attribute 'type' is not a name with a version: {_shown(text)}")
    if int(found["version"]) > VERSION:
        raise DeadLetterError(f"{text!r} is too new: version {VERSION} is the newest that is known here")
    return found["name"]


def _time(document: dict[str, JsonValue]) -> datetime:
    text = _text(document, "time")
    try:
        if _TIME.fullmatch(text):
            return datetime.fromisoformat(text)
    except ValueError:
        pass
    raise DeadLetterError(f"attribute 'time' is no time: {_shown(text)}")


def _text(document: dict[str, JsonValue], name: str) -> str:
    text = document[name]
    if not isinstance(text, str) or not _fits(text):
        raise DeadLetterError(f"attribute {name!r} is not a text of 1 to {_LONGEST_TEXT} bytes")
    return text


def _expect(document: dict[str, JsonValue], name: str, value: str) -> None:
    if document[name] != value:
        raise DeadLetterError(f"attribute {name!r} is {_shown(document[name])}, not {value!r}")


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
