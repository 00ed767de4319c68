"""The contract of one operation of a participant, shared by both styles."""

import re
from dataclasses import dataclass
from typing import Generic, TypeVar

from .._errors import DefinitionError

MessageT = TypeVar("MessageT")
ResultT_co = TypeVar("ResultT_co", covariant=True)

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Generic[MessageT, ResultT_co]):
    """What a participant can be asked to do: its name, its message, its result, and how it may refuse.

    The business code behind it is written once, in the participant. An orchestrated saga reaches it
    through an activity, a choreographed one through an event; both give the same idempotency key.

    Args:
        name: A verb and its object, in the imperative, with dashes: `reserve-stock`. Unique among the
            operations of a saga; it is also the activity type and the name of the step.
        participant: Who owns the data that it changes.
        message: The pydantic model of what is asked.
        result: The pydantic model of the answer.
        rejections: The codes with which the participant refuses for good. Every other refusal is
            treated as unknown, as nobody declared that it leaves no effect.

    Raises:
        DefinitionError: The name is not in lower case with dashes, or the participant has none.
    """

    name: str
    participant: str
    message: type[MessageT]
    result: type[ResultT_co]
    rejections: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for what, name in (("operation", self.name), ("participant", self.participant)):
            if not NAME.fullmatch(name):
                raise DefinitionError(
                    f"the name of {what} {name!r} must be words in lower case joined by dashes, "
                    "such as 'reserve-stock'"
                )

    @staticmethod
    def is_name(text: str) -> bool:
        """Whether a text is words in lower case joined by dashes, as every name of a saga."""
        return NAME.fullmatch(text) is not None
