"""Temporal's converter for pydantic, such that who cannot read its input fails, and is not wedged."""

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.exceptions import ApplicationError, FailureError

from .._errors import DefinitionError
from .._wire.continued_state import STATE
from .._wire.failures import SAGA_REFUSED

JSON = b"json/plain"
Reader = Callable[[bytes], Any]


class SagaPayloadConverter(PydanticPayloadConverter):
    """As its base; but what cannot be read is an error that ends what has to read it.

    Temporal takes any other error for a bug in the code, and tries again until the code is mended; but it
    is the sender of the payload who is to blame.

    Models and text, which are most of what sagas send, take the shortest way: the base asks one converter
    after the other, and each workflow run makes its adapters of types anew.
    """

    def to_payloads(self, values: Sequence[Any]) -> list[Payload]:
        """Turns values into payloads, as its base does."""
        as_json = self.converters[JSON].to_payload
        payloads: list[Payload] = []
        for value in values:
            if (type(value) is str or hasattr(value, "model_dump_json")) and (payload := as_json(value)):
                payloads.append(payload)
            else:
                payloads += super().to_payloads([value])
        return payloads

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        """Reads payloads.

        Raises:
            DefinitionError: It is the state of a saga that has continued as new.
            pydantic.ValidationError: One of them is JSON, and does not fit its type.
            ApplicationError: One of them is something else.
        """
        try:
            is_json = len(payloads) == 1 and payloads[0].metadata.get("encoding") == JSON
            if type_hints and is_json and (read := _reader_of(type_hints[0])):
                return [read(payloads[0].data)]
            return super().from_payloads(payloads, type_hints)
        except Exception as error:
            if payloads and payloads[0].metadata.get(STATE):
                # Its saga owes what it has done, so the run must not end with this.
                raise DefinitionError(
                    f"this version of the workflow cannot read the state of an earlier run: "
                    f"{type(error).__name__}"
                ) from error
            if isinstance(error, (FailureError, ValidationError)):
                raise
            # Never its text, which may quote the payload.
            raise ApplicationError(
                f"a payload cannot be read: {type(error).__name__}", type=SAGA_REFUSED, non_retryable=True
            ) from error


def _reader_of(kind: object) -> Reader | None:
    """What reads a model; `issubclass` would take pydantic longer than all the rest."""
    # What is no type may pass for the model that it is about, and has rules of its own: `Annotated` does.
    return getattr(kind, "model_validate_json", None) if isinstance(kind, type) else None
