"""The pydantic payload converter: undecodable payloads fail instead of retrying tasks forever."""

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import (
    CompositePayloadConverter,
    DefaultPayloadConverter,
    JSONPlainPayloadConverter,
)
from temporalio.exceptions import ApplicationError, FailureError

from .._declarations.type_schema import has_lazy_iterables
from .._errors import DefinitionError, WireFormatError
from .._validation import without_values
from .._wire.continued_state import STATE
from .._wire.failures import SAGA_REFUSED
from .._wire.reportable_error import reportable
from .json_converter import SagaJSONConverter

JSON = b"json/plain"
Reader = Callable[[bytes], Any]


class SagaPayloadConverter(PydanticPayloadConverter):
    """Extends Temporal's pydantic converter: a payload that cannot be decoded fails the reader for good.

    Temporal treats any other error as a bug in the workflow's code and retries the workflow task until the
    code is fixed. An undecodable payload is the fault of the sender, and retries would not help.

    Models and texts, the most frequent payloads of sagas, are decoded directly. The base class tries one
    converter after the other, and each workflow run creates new pydantic type adapters.
    """

    def __init__(self) -> None:
        # Without the base class, which would create a JSON converter of its own for each workflow run.
        CompositePayloadConverter.__init__(
            self,
            *(
                SagaJSONConverter() if isinstance(each, JSONPlainPayloadConverter) else each
                for each in DefaultPayloadConverter.default_encoding_payload_converters
            ),
        )

    def to_payloads(self, values: Sequence[Any]) -> list[Payload]:
        """Encodes values as payloads, like the base class."""
        as_json = self.converters[JSON].to_payload
        payloads: list[Payload] = []
        for value in values:
            if (type(value) is str or hasattr(value, "model_dump_json")) and (payload := as_json(value)):
                payloads.append(payload)
            else:
                payloads += super().to_payloads([value])
        return payloads

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        """Decodes payloads.

        Raises:
            DefinitionError: The state of a saga that continued as new cannot be decoded.
            pydantic.ValidationError: A JSON payload does not match the type; the error quotes no values.
            WireFormatError: A stored model has another wire format.
            ApplicationError: Any other payload cannot be decoded.
        """
        try:
            is_json = len(payloads) == 1 and payloads[0].metadata.get("encoding") == JSON
            if type_hints and is_json and (read := _reader_of(type_hints[0])):
                return [read(payloads[0].data)]
            return super().from_payloads(payloads, type_hints)
        except Exception as error:
            if payloads and payloads[0].metadata.get(STATE):
                # The saga has pending compensations, so the error must fail the workflow task and not end the
                # run.
                raise DefinitionError(
                    f"this version of the workflow cannot read the state of an earlier run: "
                    f"{type(error).__name__}"
                ) from reportable(error)
            if isinstance(error, ValidationError):
                # The original error quotes the payload, which a codec may have encrypted.
                raise without_values(error) from None
            if isinstance(error, (FailureError, WireFormatError)):
                raise
            # The text of the error is left out, because the text may quote the payload.
            cause = type(error.__cause__ or error).__name__
            raise ApplicationError(
                f"a payload cannot be read as {_names(type_hints)}: {cause}",
                type=SAGA_REFUSED,
                non_retryable=True,
            ) from None


def _reader_of(kind: object) -> Reader | None:
    """Returns the JSON decoder of a model; an `issubclass` check would take longer than decoding."""
    # A hint like `Annotated[Model, ...]` also has the model's attributes, but adds validation rules; only a
    # plain class is decoded directly.
    reader = getattr(kind, "model_validate_json", None) if isinstance(kind, type) else None
    return None if reader is None or has_lazy_iterables(kind) else reader


def _names(kinds: Sequence[object] | None) -> str:
    return ", ".join(str(getattr(kind, "__qualname__", kind)) for kind in kinds or ()) or "any type"
