"""Properties of a type's JSON that pydantic decides by the type alone: alias names and masked secrets."""

from collections.abc import Hashable, Iterator
from functools import lru_cache
from typing import Any, cast

from pydantic import TypeAdapter

Node = dict[str, Any]
"""A node of a core schema of pydantic; `Any`, as in pydantic-core."""

_FIELDS = frozenset({"model-field", "dataclass-field", "typed-dict-field"})
_OWNERS = frozenset({"model", "dataclass", "typed-dict"})
_MASKS = frozenset({"_serialize_secret", "_serialize_secret_field"})
"""The functions of pydantic that write a secret as asterisks."""


def is_read_by_alias_only(kind: type[Any]) -> bool:
    """Whether the type does not read JSON with its field names, but only JSON with aliases."""
    return _is_read_by_alias_only(cast("Hashable", kind))


def masked_field(kind: type[Any]) -> str | None:
    """Returns the name of a field that JSON would replace by asterisks, or `None`."""
    return _masked_field(cast("Hashable", kind))


@lru_cache(maxsize=256)
def _is_read_by_alias_only(kind: Hashable) -> bool:
    return any(
        "validation_alias" in field and not (config.get("validate_by_name") or config.get("populate_by_name"))
        for _, field, config in _fields(_schema_of(kind), {})
    )


@lru_cache(maxsize=256)
def _masked_field(kind: Hashable) -> str | None:
    schema = _schema_of(kind)
    for name, field, _ in _fields(schema, {}):
        if _is_masked(field.get("schema")):
            return name
    return getattr(kind, "__name__", str(kind)) if _is_masked(schema) else None


def _schema_of(kind: Hashable) -> Node:
    return cast("Node", TypeAdapter(cast("type[object]", kind)).core_schema)


def _fields(schema: object, config: Node) -> Iterator[tuple[str, Node, Node]]:
    """Yields name, schema and configuration of each field, at any depth."""
    if isinstance(schema, list | tuple):
        for each in cast("list[object]", schema):
            yield from _fields(each, config)
    if not isinstance(schema, dict):
        return
    node = cast("Node", schema)
    own = node.get("config")
    config = cast("Node", own) if isinstance(own, dict) else config
    for name, each in node.items():
        if isinstance(each, dict) and cast("Node", each).get("type") in _FIELDS:
            yield name, cast("Node", each), config
        if name not in ("metadata", "serialization", "config"):
            yield from _fields(cast("object", each), config)


def _is_masked(schema: object) -> bool:
    """Whether a value is written by a mask; the fields of a value have masks of their own."""
    if isinstance(schema, list | tuple):
        return any(map(_is_masked, cast("list[object]", schema)))
    if not isinstance(schema, dict):
        return False
    node = cast("Node", schema)
    if node.get("type") in _FIELDS | _OWNERS:
        return False
    serialization = node.get("serialization")
    if isinstance(serialization, dict):
        return getattr(cast("Node", serialization).get("function"), "__name__", "") in _MASKS
    return any(_is_masked(each) for name, each in node.items() if name != "metadata")
