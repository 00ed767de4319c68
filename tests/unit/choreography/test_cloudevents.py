"""Every encoded event can be decoded, and every other message is refused with a reason."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from choreography import ContractError, DeadLetterError, Event
from choreography._messaging.cloudevents import CONTENT_TYPE, LARGEST_BODY, decode, encode

EVENT = Event(
    id="1",
    type="stock-reserved",
    source="stock",
    saga_id="order-7",
    causation_id="0",
    time=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone(timedelta(hours=2))),
    data={"reserved": 3},
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)
DOCUMENT: dict[str, JsonValue] = json.loads(encode(EVENT).body)

names = st.from_regex(r"[a-z][a-z0-9]{0,5}(-[a-z0-9]{1,5}){0,3}", fullmatch=True)
texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts, lambda inner: st.lists(inner) | st.dictionaries(texts, inner)
)
events = st.builds(
    Event,
    id=texts,
    type=names,
    source=names,
    saga_id=texts,
    causation_id=st.none() | texts,
    time=st.datetimes(timezones=st.just(UTC) | st.just(timezone(timedelta(hours=-7)))),
    data=st.dictionaries(texts, values),
    traceparent=st.none() | texts,
)


def test_the_encoding_is_stable() -> None:
    """Other systems read the encoding, and would break at an accidental change."""
    message = encode(EVENT)

    assert json.loads(message.body) == {
        "specversion": "1.0",
        "id": "1",
        "source": "stock",
        "type": "stock-reserved.v1",
        "time": "2026-01-02T01:04:05.678901Z",
        "datacontenttype": "application/json",
        "correlationid": "order-7",
        "causationid": "0",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "data": {"reserved": 3},
    }
    assert message.headers == {
        f"ce-{name}": value for name, value in json.loads(message.body).items() if name != "data"
    }
    properties = (message.message_id, message.type, message.correlation_id, message.app_id, message.timestamp)
    assert properties == ("1", "stock-reserved.v1", "order-7", "stock", EVENT.time)
    assert message.content_type == "application/cloudevents+json"


@given(events)
def test_an_encoded_event_can_be_decoded(event: Event) -> None:
    """Decoding restores the event, and equal events have equal bytes; or the encoding is refused."""
    try:
        message = encode(event)
    except ContractError as error:
        assert "1 to 255 bytes" in str(error) or "outside of the calendar" in str(error)  # noqa: PT017
        return
    assert decode(message.body, message.content_type) == event
    assert encode(event).body == message.body


@given(st.binary() | texts.map(str.encode), st.just(CONTENT_TYPE) | st.none() | st.text())
def test_any_bytes_are_refused_without_another_error(body: bytes, content_type: str | None) -> None:
    """No message makes the decoder raise another error."""
    with pytest.raises(DeadLetterError):
        decode(body, content_type)


@given(st.dictionaries(st.sampled_from([*DOCUMENT, "other"]), values | st.text()))
def test_any_attributes_are_decoded_or_refused(changes: dict[str, Any]) -> None:
    """The same for messages with the attributes of events."""
    body = json.dumps({**DOCUMENT, **changes}).encode()
    try:
        event = decode(body, CONTENT_TYPE)
    except DeadLetterError:
        return
    assert decode(encode(event).body, CONTENT_TYPE) == event


def changed(**changes: object) -> bytes:
    return json.dumps({**DOCUMENT, **changes}).encode()


def without(name: str) -> bytes:
    return json.dumps({key: value for key, value in DOCUMENT.items() if key != name}).encode()


REFUSED = [
    (b"", "not JSON"),
    (b"\xff", "not JSON in UTF-8 (UnicodeDecodeError)"),
    (b"\xef\xbb\xbf{}", "not JSON"),
    (b"[]", "not a JSON object"),
    (b"null", "not a JSON object"),
    (b'{"a": 1, "a": 1}', "has the name 'a' twice"),
    (b'{"data": {"a": {"b": 1, "b": 2}}}', "has the name 'b' twice"),
    (b'{"data": NaN}', "NaN is not a number"),
    (b'{"data": -Infinity}', "-Infinity is not a number"),
    (b'{"data": 1e999}', "too large"),
    (b'{"data": ' + b"1" * 5000 + b"}", "not JSON"),
    (b'{"data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    (b" " * (LARGEST_BODY + 1), "262145 bytes; the limit is 262144"),
    *(
        (without(name), f"'{name}' is missing")
        for name in DOCUMENT
        if name not in {"causationid", "traceparent"}
    ),
    (changed(subject="x"), "'subject' is unknown"),
    (changed(specversion="1.1"), "'specversion' is '1.1'"),
    (changed(specversion=1.0), "'specversion' is 1.0"),
    (changed(datacontenttype="text/xml"), "'datacontenttype' is 'text/xml'"),
    (changed(id=""), "'id' is not a string of 1 to 255 bytes"),
    (changed(id="x" * 256), "'id' is not a string of 1 to 255 bytes"),
    (changed(id=7), "'id' is not a string"),
    (changed(correlationid=None), "'correlationid' is not a string"),
    (changed(causationid=None), "'causationid' is not a string"),
    (changed(traceparent="\ud800"), "a lone surrogate"),
    (changed(source="//Stock"), "'source' is not a valid name"),
    (changed(type="stock-reserved"), "not a name with a version: 'stock-reserved'"),
    (changed(type="stock-reserved.v0"), "not a name with a version"),
    (changed(type="Stock.v1"), "not a name with a version"),
    (
        changed(type="stock-reserved.v2"),
        "'stock-reserved.v2', and the newest version that this consumer reads is 1",
    ),
    (changed(time=1767323045), "'time' is not a string"),
    (changed(time="2026-01-02"), "'time' is not an RFC 3339 time"),
    (changed(time="2026-01-02T03:04:05"), "'time' is not an RFC 3339 time"),
    (changed(time="2026-02-30T03:04:05Z"), "'time' is not an RFC 3339 time: '2026-02-30T03:04:05Z'"),
    (changed(data=[1]), "'data' is not a JSON object"),
    (changed(data={"half": "\ud800"}), "a lone surrogate"),
    (changed(data={"deep": json.loads("[" * 300 + "]" * 300)}), "attribute 'data"),
]


@pytest.mark.parametrize(("body", "reason"), REFUSED, ids=[reason for _, reason in REFUSED])
def test_an_invalid_message_is_refused_with_its_reason(body: bytes, reason: str) -> None:
    """The reason helps the reader of the dead letters."""
    with pytest.raises(DeadLetterError) as caught:
        decode(body, CONTENT_TYPE)
    assert reason in str(caught.value)


def test_the_reason_holds_no_data() -> None:
    """The data may hold secrets."""
    with pytest.raises(DeadLetterError) as caught:
        decode(changed(data={"4111": json.loads("[" * 300 + "]" * 300)}), CONTENT_TYPE)
    assert "4111" not in str(caught.value)


@pytest.mark.parametrize("content_type", ["application/json", "", None, "application/cloudevents+jsonx"])
def test_another_content_type_is_refused(content_type: str | None) -> None:
    """Not every JSON document is meant as an event."""
    with pytest.raises(DeadLetterError, match="the content type is"):
        decode(encode(EVENT).body, content_type)


def test_parameters_of_the_content_type_are_ignored() -> None:
    """Some libraries add a charset."""
    assert decode(encode(EVENT).body, "Application/CloudEvents+JSON; charset=UTF-8") == EVENT


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"type": "Stock.Reserved"}, "'type' is not a valid name"),
        ({"source": "the stock"}, "'source' is not a valid name"),
        ({"id": ""}, "'id' must have"),
        ({"saga_id": "ü" * 128}, "'correlationid' must have 1 to 255 bytes"),
        ({"causation_id": "\ud800"}, "'causationid' must have"),
        ({"data": {"x": "y" * LARGEST_BODY}}, "the limit is 262144"),
        ({"data": {"x": float("nan")}}, "the data is not JSON"),
        ({"data": {"x": "\ud800"}}, "the data is not JSON"),
        ({"time": datetime.max.replace(tzinfo=timezone(timedelta(hours=-1)))}, "outside of the calendar"),
    ],
)
def test_an_unpublishable_event_is_refused(changes: dict[str, Any], reason: str) -> None:
    """The publisher gets the error before the event is sent."""
    with pytest.raises(ContractError) as caught:
        encode(EVENT.model_copy(update=changes))
    assert reason in str(caught.value)


def test_an_event_before_1970_has_its_time_in_the_body_only() -> None:
    """AMQP has no earlier time."""
    event = EVENT.model_copy(update={"time": datetime(1900, 1, 1, tzinfo=UTC)})
    message = encode(event)
    assert message.timestamp is None
    assert decode(message.body, message.content_type) == event
