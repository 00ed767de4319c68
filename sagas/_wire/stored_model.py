"""The base of all stored models, with the format version of what sagas store."""

from typing import cast

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    model_serializer,
    model_validator,
)

from .._errors import WireFormatError

FORMAT = 2
"""The version of the wire format. Version 0.1 of this SDK wrote format 1, without a number."""


class StoredModel(BaseModel):
    """A model in a header, memo, message or result, with the version of the wire format.

    Raises:
        WireFormatError: The JSON to validate has another format version.
    """

    model_config = ConfigDict(frozen=True)

    format: int = FORMAT

    @model_validator(mode="before")
    @classmethod
    def _refuse_other_format(cls, value: object, info: ValidationInfo) -> object:
        # Constructors give no format; JSON without a format is format 1.
        found = _format_of(value, unversioned=1 if info.mode == "json" else FORMAT)
        if found != FORMAT:
            raise WireFormatError(cls.__name__.partition("[")[0], found, FORMAT)
        return value

    @model_serializer(mode="wrap")
    def _write_format(self, serialize: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Writes the format version also where defaults are left out."""
        fields: dict[str, object] = serialize(self)
        return {"format": self.format} | fields


def _format_of(value: object, *, unversioned: int) -> object:
    """The format version of decoded JSON; a value that is no object has no other format."""
    fields = cast("dict[str, object]", value) if isinstance(value, dict) else {"format": FORMAT}
    return fields.get("format", unversioned)
