"""Temporal's converter for pydantic, such that who cannot read its input fails, and is not wedged."""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.exceptions import ApplicationError, FailureError

from ._verdict import SAGA_REFUSED


class SagaPayloadConverter(PydanticPayloadConverter):
    """As its base; but what cannot be read is an error that ends what has to read it.

    Temporal takes any other error for a bug in the code, and tries again until the code is mended; but it
    is the sender of the payload who is to blame.
    """

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        """Reads payloads.

        Raises:
            pydantic.ValidationError: One of them is JSON, and does not fit its type.
            ApplicationError: One of them is something else.
        """
        try:
            return super().from_payloads(payloads, type_hints)
        except (FailureError, ValidationError):
            raise
        except Exception as error:
            # Never its text, which may quote the payload.
            raise ApplicationError(
                f"a payload cannot be read: {type(error).__name__}", type=SAGA_REFUSED, non_retryable=True
            ) from error
