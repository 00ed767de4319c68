"""Compares messages by content: each process orders the members of a set differently."""

from collections import Counter, deque
from collections.abc import Callable, Hashable, Mapping, Set
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import BaseModel, TypeAdapter
from temporalio.api.common.v1 import Payload


def has_same_content(first: object, second: object) -> bool:
    """Whether two values have the same type and content; false if a value cannot be compared."""
    try:
        return _comparable(first) == _comparable(second)
    except Exception:  # noqa: BLE001 - a type unknown to pydantic
        return False


def is_same_content(first: Payload, second: Payload, read: Callable[[Payload], object]) -> bool:
    """Whether two payloads have the same content for the receiver; different bytes may have the same content.

    Args:
        first: A payload.
        second: A payload.
        read: Converts a payload to the message.
    """
    return first.data == second.data or _content(first, read) == _content(second, read)


def _content(payload: Payload, read: Callable[[Payload], object]) -> Hashable:
    """The comparable content of a payload; the bytes if the value cannot be read or compared."""
    try:
        return _comparable(read(payload))
    except Exception:  # noqa: BLE001 - a converter may raise any error for a payload that it cannot read
        return payload.data


def _comparable(value: Any) -> Hashable:
    """The type and the content of a value, independent of the value's own equality.

    Entities may be equal if their ids are, and a dataclass may exclude fields from comparison. Models and
    dataclasses are taken apart by field, because the dictionaries from `dump_python` are not hashable.

    Raises:
        Exception: The value contains an object of a type unknown to pydantic.
    """
    kind: type[object] = value.__class__
    content: Hashable
    if issubclass(kind, BaseModel):
        content = _comparable(dict(BaseModel.__iter__(value)))
    elif is_dataclass(kind):
        content = _comparable({each.name: getattr(value, each.name) for each in fields(kind)})
    elif issubclass(kind, Mapping):
        content = frozenset((_comparable(key), _comparable(each)) for key, each in value.items())
    elif issubclass(kind, Set):
        content = frozenset(Counter(map(_comparable, value)).items())
    elif issubclass(kind, (list, tuple, deque)):
        content = tuple(map(_comparable, value))
    elif value != value:  # noqa: PLR0124 - not a number, which differs from itself
        content = "not a number"
    else:
        content = TypeAdapter(kind).dump_python(value)
    return value.__class__, content
