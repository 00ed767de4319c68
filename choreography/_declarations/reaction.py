"""One reaction, as pure data: which event leads to which operation, and what is told of it.

::

    order_placed = Fact("order-placed", Order, by="order")

    REACTIONS = Reactions(
        INVENTORY,
        on(order_placed).do(reserve_stock, ReserveStock.of).then(stock_reserved).or_else(stock_refused),
        on(payment_declined, shipment_refused).compensate(reserve_stock, ReserveStock.of),
    )

The data of a fact is what every operation after it is made from: no participant asks another one.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, Self, TypeVar, overload

from pydantic import BaseModel

from sagas import Operation

from .event_type import Cause, Command, Fact

DataT = TypeVar("DataT", bound=BaseModel)
MessageT = TypeVar("MessageT", bound=BaseModel)
ResultT = TypeVar("ResultT", bound=BaseModel)
OtherT = TypeVar("OtherT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Telling:
    """A fact that a reaction may tell, and what its data is made from: the data that led to it, and a result.

    Args:
        fact: What is told.
        of: Makes its data.
    """

    fact: Fact[Any]
    of: Callable[[Any, Any], BaseModel]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Carried(Generic[DataT]):
    """An operation of the participant that a cause leads to.

    Args:
        causes: Each of them leads to it.
        operation: The action; its name makes the idempotency key.
        of: Makes its message from the data of the cause.
        within: The part of the saga that the step belongs to, as a child saga would be called.
    """

    causes: tuple[Cause, ...]
    operation: Operation[Any, Any]
    of: Callable[[DataT], BaseModel]
    within: str = ""
    told: Telling | None = None

    @property
    def tells(self) -> tuple[Telling, ...]:
        """Everything that may follow from it."""
        return (self.told,) if self.told else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Do(_Carried[DataT], Generic[DataT, ResultT]):
    """An action; what is told depends on how it ends: done, rejected, or unknown."""

    rejected: Telling | None = None
    unknown: Telling | None = None

    @overload
    def then(self, fact: Fact[DataT]) -> Self: ...
    @overload
    def then(self, fact: Fact[OtherT], of: Callable[[DataT, ResultT], OtherT]) -> Self: ...
    def then(self, fact: Fact[Any], of: Callable[[Any, Any], BaseModel] | None = None) -> Self:
        """Tells `fact` when the action is done.

        Args:
            fact: By default it carries on the data of the cause.
            of: Makes its data from that of the cause and the result of the action.
        """
        return replace(self, told=Telling(fact, of or _carry_on))

    def or_else(self, fact: Fact[DataT]) -> Self:
        """Tells `fact` when the action is refused. Without it, a refused event goes to the dead letters."""
        return replace(self, rejected=Telling(fact, _carry_on))

    def if_unknown(self, fact: Fact[DataT]) -> Self:
        """Tells `fact` when nobody can say whether the action happened: it is to be compensated."""
        return replace(self, unknown=Telling(fact, _carry_on))

    @property
    def tells(self) -> tuple[Telling, ...]:
        """Everything that may follow from it."""
        return tuple(each for each in (self.told, self.rejected, self.unknown) if each)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compensate(_Carried[DataT]):
    """Makes up for an action under its key; one that has not come yet has no effect when it comes."""

    def then(self, fact: Fact[DataT]) -> Self:
        """Tells `fact` once nothing of the action is left."""
        return replace(self, told=Telling(fact, _carry_on))


@dataclass(frozen=True, slots=True, kw_only=True)
class Void(_Carried[DataT]):
    """Makes void an action that has not come yet; does nothing where it has."""

    def then(self, fact: Fact[DataT]) -> Self:
        """Tells `fact` if the action had not come, and never will have an effect."""
        return replace(self, told=Telling(fact, _carry_on))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tell:
    """Tells a fact, and changes nothing.

    Args:
        causes: Each of them leads to it.
        told: What is told.
        look_up: Makes the data of the fact from that of the cause, and from what the participant knows;
            it may refuse with `RejectedError`.
    """

    causes: tuple[Cause, ...]
    told: Telling
    look_up: Callable[[sqlite3.Connection, Any], BaseModel]

    @property
    def tells(self) -> tuple[Telling, ...]:
        """What follows from it."""
        return (self.told,)


Reaction = Do[Any, Any] | Compensate[Any] | Void[Any] | Tell


@dataclass(frozen=True, slots=True)
class On(Generic[DataT]):
    """What leads to a reaction; each of the methods makes one."""

    causes: tuple[Fact[DataT] | Command[DataT], ...]

    @overload
    def do(self, operation: Operation[DataT, ResultT], /, *, within: str = "") -> Do[DataT, ResultT]: ...
    @overload
    def do(
        self,
        operation: Operation[MessageT, ResultT],
        of: Callable[[DataT], MessageT],
        /,
        *,
        within: str = "",
    ) -> Do[DataT, ResultT]: ...
    def do(
        self,
        operation: Operation[Any, Any],
        of: Callable[[Any], BaseModel] | None = None,
        /,
        *,
        within: str = "",
    ) -> Do[Any, Any]:
        """Does an action, with the message that `of` makes from the data; by default the data is the message.

        Args:
            operation: One of the participant's own.
            of: Makes its message.
            within: The child saga that the step belongs to in the orchestrated style, as it is part of
                the key: `within="payment"`.
        """
        return Do(causes=self.causes, operation=operation, of=of or _itself, within=within)

    @overload
    def compensate(self, action: Operation[DataT, Any], /, *, within: str = "") -> Compensate[DataT]: ...
    @overload
    def compensate(
        self, action: Operation[MessageT, Any], of: Callable[[DataT], MessageT], /, *, within: str = ""
    ) -> Compensate[DataT]: ...
    def compensate(
        self,
        action: Operation[Any, Any],
        of: Callable[[Any], BaseModel] | None = None,
        /,
        *,
        within: str = "",
    ) -> Compensate[Any]:
        """Makes up for `action`, with the compensation that the participant has for it."""
        return Compensate(causes=self.causes, operation=action, of=of or _itself, within=within)

    @overload
    def void(self, action: Operation[DataT, Any], /, *, within: str = "") -> Void[DataT]: ...
    @overload
    def void(
        self, action: Operation[MessageT, Any], of: Callable[[DataT], MessageT], /, *, within: str = ""
    ) -> Void[DataT]: ...
    def void(
        self,
        action: Operation[Any, Any],
        of: Callable[[Any], BaseModel] | None = None,
        /,
        *,
        within: str = "",
    ) -> Void[Any]:
        """Makes `action` void if it has not come yet; for what has no compensation, as a pivot."""
        return Void(causes=self.causes, operation=action, of=of or _itself, within=within)

    @overload
    def tell(self, fact: Fact[DataT], /) -> Tell: ...
    @overload
    def tell(self, fact: Fact[OtherT], of: Callable[[sqlite3.Connection, DataT], OtherT], /) -> Tell: ...
    def tell(
        self, fact: Fact[Any], of: Callable[[sqlite3.Connection, Any], BaseModel] | None = None, /
    ) -> Tell:
        """Tells `fact`, with the data that `of` makes or looks up; by default with the same data."""
        return Tell(causes=self.causes, told=Telling(fact, _carry_on), look_up=of or _as_it_is)


def on(*causes: Fact[DataT] | Command[DataT]) -> On[DataT]:
    """Begins a reaction to each of some facts, or to a command."""
    return On(causes)


def _carry_on(data: BaseModel, result: object) -> BaseModel:
    del result
    return data


def _itself(data: BaseModel) -> BaseModel:
    return data


def _as_it_is(tx: sqlite3.Connection, data: BaseModel) -> BaseModel:
    del tx
    return data
