"""Samples of result types: the answers of participants without a script."""

import dataclasses
import types
from collections.abc import Callable, Mapping, Sequence, Set
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin, get_type_hints
from uuid import UUID

from pydantic import BaseModel, PydanticSchemaGenerationError, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from ..._validation import invalid_fields

_MOMENT = datetime(2020, 1, 1, tzinfo=UTC)
_SCALARS: Mapping[object, object] = {
    type(None): None,
    None: None,
    object: None,
    Any: None,
    bool: True,
    float: 1.0,
    bytes: b"",
    Decimal: Decimal(1),
    datetime: _MOMENT,
    date: _MOMENT.date(),
    timedelta: timedelta(seconds=1),
    UUID: UUID(int=1),
}
_EMPTY: Mapping[object, Callable[[], object]] = {
    list: list,
    dict: dict,
    set: set,
    frozenset: frozenset,
    Sequence: list,
    Mapping: dict,
    Set: set,
}


class NoSampleError(Exception):
    """There is no sample of a type; the text says why."""


def sample_of(kind: object) -> object:
    """Makes a valid value of a type: texts are named by their field, numbers are 1, collections are empty.

    Raises:
        NoSampleError: The type is unknown, or has rules beyond bounds and lengths, such as a pattern.
    """
    value = _sample(kind, "text", ())
    try:
        # Any annotation may be given; pydantic refuses the annotations without a schema.
        TypeAdapter(cast("type[object]", kind)).validate_python(value)
    except ValidationError as error:
        raise _invalid(kind, error) from error
    except PydanticSchemaGenerationError as error:
        raise NoSampleError(f"there is no sample of {kind!r}") from error
    return value


def _sample(kind: object, name: str, rules: Sequence[object]) -> object:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _sample(arguments[0], name, [*rules, *arguments[1:]])
    if origin in (Union, types.UnionType):
        return None if type(None) in arguments else _sample(arguments[0], name, rules)
    if origin is Literal:
        return arguments[0]
    if (origin or kind) is tuple:
        return tuple(_sample(each, name, ()) for each in arguments if Ellipsis not in arguments)
    return _sample_of_value(origin or kind, name, rules)


def _sample_of_value(kind: object, name: str, rules: Sequence[object]) -> object:
    if kind in _SCALARS:
        return _SCALARS[kind]
    if kind in _EMPTY:
        return _EMPTY[kind]()
    if kind is int:
        return _number(rules)
    return _text(name, rules) if kind is str else _sample_of_class(kind)


def _sample_of_class(kind: object) -> object:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(iter(kind))
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        try:
            return kind(
                **{
                    _input_name(name, each): _sample_of_field(name, each)
                    for name, each in kind.model_fields.items()
                    if each.is_required()
                }
            )
        except ValidationError as error:
            raise _invalid(kind, error) from error
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind, include_extras=True)
        required = [
            each.name
            for each in dataclasses.fields(kind)
            if each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
        ]
        return kind(**{name: _sample(hints[name], name, ()) for name in required})
    raise NoSampleError(f"there is no sample of {kind!r}")


def _invalid(kind: object, error: ValidationError) -> NoSampleError:
    rules = "; ".join(map(str, invalid_fields(error)))
    return NoSampleError(f"the sample of {getattr(kind, '__name__', kind)} breaks a rule ({rules})")


def _sample_of_field(name: str, field: FieldInfo) -> object:
    return _sample(field.annotation, name, field.metadata)


def _input_name(name: str, field: FieldInfo) -> str:
    return field.validation_alias if isinstance(field.validation_alias, str) else name


def _bounds(rules: Sequence[object], name: str) -> list[int]:
    """The whole numbers of a bound; rules are objects of `annotated_types` or of pydantic."""
    values = [getattr(rule, name, None) for rule in rules]
    return [int(value) for value in values if isinstance(value, int | float)]


def _number(rules: Sequence[object]) -> int:
    return max([1, *_bounds(rules, "ge"), *(each + 1 for each in _bounds(rules, "gt"))])


def _text(name: str, rules: Sequence[object]) -> str:
    text = f"{name}-1".ljust(max([0, *_bounds(rules, "min_length")]), "x")
    return text[: min([len(text), *_bounds(rules, "max_length")])]
