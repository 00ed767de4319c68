"""The contract of one operation of a participant, shared by both styles."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from .._errors import DefinitionError
from .names import NAME, check_name
from .type_schema import masked_field

MessageT = TypeVar("MessageT")
ResultT_co = TypeVar("ResultT_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Generic[MessageT, ResultT_co]):
    """An operation of a participant: the name, the message, the result and the rejections.

    The participant implements the business code once. An orchestrated saga calls an operation through an
    activity, a choreographed saga through an event; both pass the same idempotency key.

    Args:
        name: A verb and an object in the imperative, in lower case with dashes: `reserve-stock`. Unique among
            the operations of a saga; also the activity type and the name of the step.
        participant: The owner of the changed data, in lower case with dashes.
        message: The pydantic model of the request.
        result: The pydantic model of the result.
        rejections: The codes with which the participant rejects for good, without an effect. An error with
            another code has an unknown outcome.

    Raises:
        DefinitionError: The name of the operation or of the participant is not in lower case with dashes, or
            JSON replaces a secret in the message or the result by asterisks.
    """

    name: str
    participant: str
    message: type[MessageT]
    result: type[ResultT_co]
    rejections: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        check_name("operation", self.name)
        check_name("participant", self.participant)
        for kind in (self.message, self.result):
            if field := masked_field(kind):
                raise DefinitionError(
                    f"operation {self.name!r}: JSON replaces the secret {field!r} of {kind.__name__} by "
                    "asterisks; give the field a `field_serializer`"
                )

    @staticmethod
    def is_name(text: str) -> bool:
        """Whether a text is words in lower case joined by dashes, as every name of a saga."""
        return NAME.fullmatch(text) is not None
