"""Whether a type's JSON needs aliases, decided by the type alone."""

from collections.abc import Hashable, Iterator
from functools import lru_cache
from typing import Any, cast

from pydantic import TypeAdapter

Node = dict[str, Any]
"""A node of a core schema of pydantic; `Any`, as in pydantic-core."""

_FIELDS = frozenset({"model-field", "dataclass-field", "typed-dict-field"})


def is_read_by_alias_only(kind: type[Any]) -> bool:
    """Whether the type does not read JSON with its field names, but only JSON with aliases."""
    try:
        return _cached(cast("Hashable", kind))
    except TypeError:
        # An unhashable type, such as `Annotated[int, {"unit": "cents"}]`.
        return _is_read_by_alias_only(kind)


@lru_cache(maxsize=256)
def _cached(kind: Hashable) -> bool:
    return _is_read_by_alias_only(kind)


def _is_read_by_alias_only(kind: object) -> bool:
    schema = cast("object", TypeAdapter(cast("type[object]", kind)).core_schema)
    return any(
        "validation_alias" in field and not (config.get("validate_by_name") or config.get("populate_by_name"))
        for field, config in _fields(schema, {})
    )


def _fields(schema: object, config: Node) -> Iterator[tuple[Node, Node]]:
    """Yields schema and configuration of each field, at any depth."""
    if isinstance(schema, list | tuple):
        for each in cast("list[object]", schema):
            yield from _fields(each, config)
    if not isinstance(schema, dict):
        return
    node = cast("Node", schema)
    # A mapping of fields has no type, and its fields may have any name.
    is_schema = isinstance(node.get("type"), str)
    if is_schema and isinstance(own := node.get("config"), dict):
        config = cast("Node", own)
    if is_schema and node["type"] in _FIELDS:
        yield node, config
    for name, each in node.items():
        if not is_schema or name not in ("metadata", "serialization", "config"):
            yield from _fields(cast("object", each), config)
