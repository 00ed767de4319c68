"""The base of all stored models, with the format version of what sagas store."""

import json
from collections.abc import Sequence
from typing import ClassVar, Final, Literal, Self, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    model_serializer,
    model_validator,
)

from .._errors import WireFormatError

FORMAT: Final = 2
"""The version of the wire format. Version 0.1 of this SDK wrote format 1, without a number."""


class StoredModel(BaseModel):
    """A model in a header, memo, message or result, with the version of the wire format.

    Raises:
        WireFormatError: The JSON to validate has another format version.
    """

    model_config = ConfigDict(frozen=True)
    left_out: ClassVar[tuple[str, ...]] = ()
    """The fields that are written only with another value than the default."""

    format: Literal[2] = FORMAT

    @classmethod
    def from_json_value(cls, value: object) -> Self:
        """Reads a model from decoded JSON.

        Raises:
            WireFormatError: The value has another format version.
            pydantic.ValidationError: The value is not the model.
        """
        return cls.model_validate_json(json.dumps(value))

    @model_validator(mode="before")
    @classmethod
    def _refuse_other_format(cls, value: object, info: ValidationInfo) -> object:
        # A constructor gives no format.
        if info.mode == "json" and (found := cls._format_of(value)) not in (None, FORMAT):
            raise WireFormatError(cls.__name__.partition("[")[0], found, FORMAT)
        return value

    @classmethod
    def _format_of(cls, value: object) -> object:
        """The format version of decoded JSON; None for the JSON of another program."""
        if not isinstance(value, dict):
            return None
        fields = cast("dict[str, object]", value)
        if "format" in fields:
            return fields["format"] if type(fields["format"]) is int else None
        required = {name for name, field in cls.model_fields.items() if field.is_required()}
        return 1 if required <= fields.keys() else None

    @model_serializer(mode="wrap")
    def _write_format(self, serialize: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Writes the format version also where defaults are left out."""
        fields: dict[str, object] = serialize(self)
        return {"format": self.format, **without_defaults(self, fields, self.left_out)}


def without_defaults(model: BaseModel, fields: dict[str, object], names: Sequence[str]) -> dict[str, object]:
    """The serialized fields of a model, without the named fields that have their defaults."""
    defaults = {name for name in names if getattr(model, name) == type(model).model_fields[name].default}
    return {name: value for name, value in fields.items() if name not in defaults}
