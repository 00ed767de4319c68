"""The types of events between participants, and the types of commands from clients."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from pydantic import BaseModel

DataT = TypeVar("DataT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class EventType(Generic[DataT]):
    """A type of event, with a model of the data.

    Args:
        name: The event in the past tense, with dashes: `stock-reserved`.
        data: The pydantic model of the data.
        source: The publishing participant.
        is_final: A saga may end with this event; no participant has to react.
    """

    name: str
    data: type[DataT]
    _: KW_ONLY
    source: str
    is_final: bool = False


@dataclass(frozen=True, slots=True)
class CommandType(Generic[DataT]):
    """A type of command: a client starts a saga or requests a cancellation.

    Args:
        name: A verb and an object, with dashes: `place-order`.
        data: The pydantic model of the request.
        saga_id: Derives the id of the saga from the request; equal requests must give equal ids.
    """

    name: str
    data: type[DataT]
    saga_id: Callable[[DataT], str]


# Any: collections hold types of different data; `on(…)` has checked the data of each reaction.
AnyEventType: TypeAlias = EventType[Any]
AnyCommandType: TypeAlias = CommandType[Any]
Cause: TypeAlias = AnyEventType | AnyCommandType
"""What a participant reacts to."""
