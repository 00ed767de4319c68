"""What pydantic's schema says about a type: masked secrets, and lazy iterables. Remembered for each type."""

from collections.abc import Callable, Iterator
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin
from weakref import WeakKeyDictionary

from pydantic import TypeAdapter

Node = dict[str, Any]
"""A node of a core schema of pydantic; `Any`, as in pydantic-core."""
T = TypeVar("T")

_FIELDS = frozenset({"model-field", "dataclass-field", "typed-dict-field"})
_OWNERS = frozenset({"model", "dataclass", "typed-dict"})
_MASKS = frozenset({"_serialize_secret", "_serialize_secret_field"})
"""The functions of pydantic that write a secret as asterisks."""


def _remembered(find: Callable[[object], T]) -> Callable[[object], T]:
    """Remembers the answer for each type, without keeping the types of a workflow sandbox alive."""
    known: WeakKeyDictionary[Any, T] = WeakKeyDictionary()

    def answer(kind: object) -> T:
        try:
            return known[kind]
        except KeyError:
            known[kind] = found = find(kind)
            return found
        except TypeError:
            # An unhashable type, or a type without weak references.
            return find(kind)

    return answer


@_remembered
def masked_field(kind: object) -> str | None:
    """Returns the name of a field that JSON replaces by asterisks, or `None`.

    A field with a serializer of its own is not masked. A type that is unknown to pydantic has no such field.
    """
    if get_origin(kind) in (Union, UnionType):
        return next((found for each in get_args(kind) if (found := masked_field(each))), None)
    schema = _schema_of(kind)
    for name, field in _nodes(schema, ""):
        if field.get("type") in _FIELDS and _is_masked(field.get("schema")):
            return str(field.get("name", name))
    return getattr(kind, "__name__", str(kind)) if _is_masked(schema) else None


@_remembered
def has_lazy_iterables(kind: object) -> bool:
    """Whether pydantic reads a part of the type as an iterator that is empty after the first iteration."""
    if get_origin(kind) in (Union, UnionType, Annotated):
        return any(map(has_lazy_iterables, get_args(kind)))
    return any(node.get("type") == "generator" for _, node in _nodes(_schema_of(kind), ""))


def _schema_of(kind: object) -> object:
    try:
        return cast("object", TypeAdapter(cast("type[object]", kind)).core_schema)
    except Exception:  # noqa: BLE001 - a schema function of foreign code may raise anything
        return None


def _nodes(schema: object, name: str) -> Iterator[tuple[str, Node]]:
    """Yields each schema at any depth, with the name under which the schema stands."""
    if isinstance(schema, list | tuple):
        for each in cast("list[object]", schema):
            yield from _nodes(each, "")
    if not isinstance(schema, dict):
        return
    node = cast("Node", schema)
    # A mapping of fields has no type, and its fields may have any name.
    is_schema = isinstance(node.get("type"), str)
    if is_schema:
        yield name, node
    for key, each in node.items():
        if not is_schema or key not in ("metadata", "serialization", "config"):
            yield from _nodes(cast("object", each), key)


def _is_masked(schema: object) -> bool:
    """Whether a value is written by a mask; the fields of a value have masks of their own."""
    if isinstance(schema, list | tuple):
        return any(map(_is_masked, cast("list[object]", schema)))
    if not isinstance(schema, dict):
        return False
    node = cast("Node", schema)
    kind = node.get("type")
    if isinstance(kind, str) and kind in _FIELDS | _OWNERS:
        return False
    serialization = node.get("serialization")
    if isinstance(serialization, dict):
        return getattr(cast("Node", serialization).get("function"), "__name__", "") in _MASKS
    return any(_is_masked(cast("object", each)) for name, each in node.items() if name != "metadata")
