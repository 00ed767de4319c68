"""What participants tell each other, and what they are asked from outside."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

DataT = TypeVar("DataT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Fact(Generic[DataT]):
    """A type of event, and the model of what there is to know.

    Args:
        name: What has happened, in the past tense, with dashes: `stock-reserved`; the type of its events.
        data: The pydantic model of its data.
        by: The participant that tells it.
        is_final: A saga may end with it, so it is no mistake if nobody reacts.
    """

    name: str
    data: type[DataT]
    _: KW_ONLY
    by: str
    is_final: bool = False


@dataclass(frozen=True, slots=True)
class Command(Generic[DataT]):
    """What a participant can be asked for from outside: how a saga begins, or is told to turn round.

    Args:
        name: A verb and its object, with dashes: `place-order`.
        data: The pydantic model of what is asked.
        saga_id: Which saga it is about: always the same for the same request.
    """

    name: str
    data: type[DataT]
    saga_id: Callable[[DataT], str]


Cause = Fact[Any] | Command[Any]  # Any: each reaction has checked the type of its own data
