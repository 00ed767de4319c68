"""Strict reading of request bodies: an invalid body is refused before any effect."""

import asyncio
import re
from datetime import timedelta
from http import HTTPStatus
from json import JSONDecodeError, loads
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from sagas import invalid_fields

from .problem_details import ProblemError

MAX_BYTES = 64 * 1024
MAX_DEPTH = 32
RECEIVE_TIMEOUT = timedelta(seconds=5)
"""How long a client may take to send a body."""

MEDIA_TYPE = re.compile(r'application/json\s*(;\s*charset="?utf-8"?\s*)?', re.IGNORECASE)
NUMBER_TOO_LONG = re.compile(rb"\d{4000}")
# Possessive, and the closing quote optional: linear also for a string that never ends.
STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)

MessageT = TypeVar("MessageT", bound=BaseModel)


async def read_message(
    request: Request, model: type[MessageT], *, receive_timeout: timedelta = RECEIVE_TIMEOUT
) -> MessageT:
    """Reads and validates the message in the body of `request`.

    Raises:
        ProblemError: The body is no valid message; with the field and the broken rule.
    """
    media_type = request.headers.get("content-type", "")
    if not MEDIA_TYPE.fullmatch(media_type) or "content-encoding" in request.headers:
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "the body must be application/json in UTF-8, without content encoding",
            field="Content-Type",
        )
    body = await _receive(request, receive_timeout)
    _check_json(body)
    try:
        return model.model_validate_json(body, strict=True)
    except ValidationError as error:
        first = invalid_fields(error)[0]
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "invalid_message",
            first.rule,
            field=first.path or None,
            rule=first.type,
        ) from None


async def _receive(request: Request, receive_timeout: timedelta) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(receive_timeout.total_seconds()):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise ProblemError(
                        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                        "body_too_large",
                        f"a body has at most {MAX_BYTES} bytes",
                    )
    except TimeoutError:
        raise ProblemError(
            HTTPStatus.REQUEST_TIMEOUT, "body_too_slow", "the body did not arrive in time"
        ) from None
    except ClientDisconnect:
        raise _malformed("incomplete", "the body ended too early") from None
    return bytes(body)


def _check_json(body: bytes) -> None:
    """Refuses ambiguous JSON, before the model reads the body."""
    if _depth(body) > MAX_DEPTH:
        raise _malformed("too_deep", f"values are nested at most {MAX_DEPTH} deep")
    if NUMBER_TOO_LONG.search(body):
        raise _malformed("number_too_long", "a number is too long")
    try:
        # Decoded here, as `loads` would guess UTF-16 from bytes.
        loads(body.decode("utf-8"), object_pairs_hook=_object, parse_constant=_constant)
    except UnicodeDecodeError:
        raise _malformed("not_utf_8", "the body must be UTF-8") from None
    except JSONDecodeError as error:
        raise _malformed("not_json", f"the body is not JSON: {error}") from None


def _depth(body: bytes) -> int:
    deepest = depth = 0
    for byte in STRING.sub(b"", body):
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members: dict[str, object] = {}
    for name, value in pairs:
        if name in members:
            raise _malformed("duplicate_field", "a field is given twice", name)
        _check_text(name, name)
        for item in _items(value):
            _check_text(item, name)
        members[name] = value
    return members


def _items(value: object) -> list[object]:
    """A value alone, or the items of a list; the parser has already checked nested objects."""
    if not isinstance(value, list):
        return [value]
    found: list[object] = []
    for item in value:  # pyright: ignore[reportUnknownVariableType]  (json gives no types)
        found += _items(item)  # pyright: ignore[reportUnknownArgumentType]
    return found


def _check_text(value: object, field: str) -> None:
    if not isinstance(value, str):
        return
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise _malformed("not_storable", "text holds neither NUL nor half a surrogate pair", field)


def _constant(name: str) -> object:
    raise _malformed("not_a_number", f"{name} is not JSON")


def _malformed(rule: str, detail: str, field: str | None = None) -> ProblemError:
    # The name of a field may be as bad as its value.
    safe = field.encode("ascii", "backslashreplace").decode()[:100] if field else None
    return ProblemError(HTTPStatus.BAD_REQUEST, "invalid_message", detail, field=safe, rule=rule)
