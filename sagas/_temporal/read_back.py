"""Whether a message arrives as it was sent: JSON masks secrets, and drops fields of subclasses."""

from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from typing import Any, cast

from pydantic import BaseModel, Secret, SecretBytes, SecretStr
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.converter import PayloadConverter

from .message_content import has_same_content

_READ_BACK = (BaseModel, SecretStr, SecretBytes, Secret)


def changed_part(value: object, payload: Payload | None, converter: PayloadConverter) -> str | None:
    """Returns the first part of a value that would arrive with other content, or `None`.

    Only models, dataclasses, secrets, and containers of these are read back. A model is read back faster than
    written: no cache by type would be worth the memory.

    Args:
        value: A message.
        payload: The payload of the message, if known.
        converter: The converter of the payload.

    Returns:
        The name of the type, for a model and a dataclass with the field: `Order.card`. Never a value.
    """
    kind = type(value)
    if kind is str or value is None:
        return None
    if issubclass(kind, _READ_BACK) or (is_dataclass(kind) and kind is not RawValue):
        return _changed(value, payload, converter)
    if isinstance(value, dict):
        return _first_change(cast("dict[object, object]", value).values(), converter)
    if isinstance(value, list | tuple | set | frozenset):
        return _first_change(cast("list[object]", value), converter)
    return None


def _first_change(parts: Iterable[object], converter: PayloadConverter) -> str | None:
    for each in parts:
        if found := changed_part(each, None, converter):
            return found
    return None


def _changed(value: object, payload: Payload | None, converter: PayloadConverter) -> str | None:
    kind = type(value)
    try:
        arrived: object = converter.from_payload(payload or converter.to_payload(value), kind)
    except Exception:  # noqa: BLE001 - a converter may raise anything
        return kind.__name__
    # The equality of a class is fast, but may be stricter than the content.
    if arrived == value or has_same_content(arrived, value):
        return None
    for name in _field_names(kind):
        if not has_same_content(getattr(arrived, name, None), getattr(value, name, None)):
            return f"{kind.__name__}.{name}"
    return kind.__name__


def _field_names(kind: type[Any]) -> tuple[str, ...]:
    fields: Mapping[str, object] = getattr(kind, "model_fields", None) or getattr(
        kind, "__dataclass_fields__", {}
    )
    return tuple(fields)
