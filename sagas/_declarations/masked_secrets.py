"""Secrets of pydantic that JSON replaces by asterisks, found in the type alone."""

from collections.abc import Hashable
from functools import lru_cache
from typing import Any, cast

from pydantic import TypeAdapter

Node = dict[str, Any]
"""A node of a core schema of pydantic; `Any`, as in pydantic-core."""

_FIELDS = frozenset({"model-field", "dataclass-field", "typed-dict-field"})
_OWNERS = frozenset({"model", "dataclass", "typed-dict"})
_MASKS = frozenset({"_serialize_secret", "_serialize_secret_field"})
"""The functions of pydantic that write a secret as asterisks."""


def masked_field(kind: object) -> str | None:
    """Returns the name of a field that JSON replaces by asterisks, or `None`.

    A field with a serializer of its own is not masked. A type that is unknown to pydantic has no such field.
    """
    try:
        return _cached(kind)
    except TypeError:
        # An unhashable type, such as `Annotated[int, {"unit": "cents"}]`.
        return _masked_field(kind)


@lru_cache(maxsize=256)
def _cached(kind: Hashable) -> str | None:
    return _masked_field(kind)


def _masked_field(kind: object) -> str | None:
    try:
        schema = cast("object", TypeAdapter(cast("type[object]", kind)).core_schema)
    except Exception:  # noqa: BLE001 - a schema function of foreign code may raise anything
        return None
    found = _find(schema, "")
    return getattr(kind, "__name__", str(kind)) if found is None and _is_masked(schema) else found


def _find(schema: object, name: str) -> str | None:
    """The first masked field, at any depth; the fields of a dataclass know their names."""
    if isinstance(schema, list | tuple):
        return next((found for each in cast("list[object]", schema) if (found := _find(each, ""))), None)
    if not isinstance(schema, dict):
        return None
    node = cast("Node", schema)
    kind = _type_of(node)
    if kind in _FIELDS and _is_masked(node.get("schema")):
        return str(node.get("name", name))
    for key, each in node.items():
        is_foreign = kind and key in ("metadata", "serialization", "config")
        if not is_foreign and (found := _find(cast("object", each), key)):
            return found
    return None


def _is_masked(schema: object) -> bool:
    """Whether a value is written by a mask; the fields of a value have masks of their own."""
    if isinstance(schema, list | tuple):
        return any(map(_is_masked, cast("list[object]", schema)))
    if not isinstance(schema, dict):
        return False
    node = cast("Node", schema)
    if _type_of(node) in _FIELDS | _OWNERS:
        return False
    serialization = node.get("serialization")
    if isinstance(serialization, dict):
        return getattr(cast("Node", serialization).get("function"), "__name__", "") in _MASKS
    return any(_is_masked(cast("object", each)) for name, each in node.items() if name != "metadata")


def _type_of(node: Node) -> str:
    """The type of a schema; empty for a mapping of fields, of which one may have the name `type`."""
    kind = node.get("type")
    return kind if isinstance(kind, str) else ""
