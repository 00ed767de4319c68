"""The JSON converter: pydantic's reading, with Temporal's own reading where pydantic has no schema."""

from dataclasses import fields, is_dataclass
from typing import Any, cast

from pydantic import BaseModel
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticJSONPlainPayloadConverter
from temporalio.converter import JSONPlainPayloadConverter

from .._declarations.type_schema import has_lazy_iterables


class SagaJSONConverter(PydanticJSONPlainPayloadConverter):
    """Extends Temporal's pydantic converter to the types that Temporal's default converter reads.

    Workflows that were started before `SagaPlugin` was adopted go on: `typing.TypedDict` of Python 3.11 and
    named tuples with such members are read as by Temporal, and iterables are lists, as by Temporal.
    """

    def __init__(self) -> None:
        super().__init__()
        self._of_temporal = JSONPlainPayloadConverter()

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        """Reads a payload.

        Raises:
            pydantic.errors.PydanticUserError: Neither pydantic nor Temporal can read the type.
        """
        try:
            value: object = super().from_payload(payload, type_hint)
        except (PydanticUserError, PydanticUndefinedAnnotation) as error:
            try:
                return self._of_temporal.from_payload(payload, type_hint)
            except TypeError:
                raise error from None
        return materialized(value) if type_hint is not None and has_lazy_iterables(type_hint) else value


def materialized(value: object) -> object:
    """Replaces the lazy iterables of pydantic, which are empty after the first iteration, by lists.

    Raises:
        pydantic.ValidationError: An item of an iterable is invalid.
    """
    kind: type[object] = type(value)
    if kind.__name__ == "ValidatorIterator":
        return [materialized(each) for each in cast("list[object]", value)]
    if kind is list:
        return [materialized(each) for each in cast("list[object]", value)]
    if kind is tuple:
        return tuple(materialized(each) for each in cast("tuple[object, ...]", value))
    if kind is dict:
        return {key: materialized(each) for key, each in cast("dict[object, object]", value).items()}
    if isinstance(value, BaseModel):
        members = vars(value)
        for name, each in members.items():
            members[name] = materialized(each)
    elif is_dataclass(kind):
        for field in fields(kind):
            # A frozen dataclass refuses an ordinary assignment.
            object.__setattr__(value, field.name, materialized(getattr(value, field.name)))
    return value
