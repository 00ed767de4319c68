"""A reaction as data: the causes, the operation, and the event of each outcome.

::

    order_placed = EventType("order-placed", Order, source="order")

    REACTIONS = Reactions(
        INVENTORY,
        on(order_placed)
        .do(reserve_stock, ReserveStock.of)
        .on_done(stock_reserved)
        .on_rejected(stock_refused),
        on(payment_declined, shipment_refused).compensate(reserve_stock, ReserveStock.of),
    )

The data of an event holds all input of later operations: no participant queries another participant.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, Self, TypeAlias, TypeVar, overload

from pydantic import BaseModel

from sagas import Operation

from .event_type import AnyEventType, Cause, CommandType, EventType
from .participant import AnyOperation

DataT = TypeVar("DataT", bound=BaseModel)
MessageT = TypeVar("MessageT", bound=BaseModel)
ResultT = TypeVar("ResultT", bound=BaseModel)
OtherT = TypeVar("OtherT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class OutgoingEvent:
    """An event that a reaction may publish.

    Args:
        event_type: The type of the event.
        make_data: Makes the data of the event from the data of the cause and the result of the operation.
    """

    event_type: AnyEventType
    make_data: Callable[..., BaseModel]


@dataclass(frozen=True, slots=True, kw_only=True)
class _OperationReaction(Generic[DataT]):
    """A reaction with an operation of the participant.

    Args:
        causes: The event types or the command types.
        operation: The action; the idempotency key is derived from the name.
        make_message: Makes the message of the operation from the data of the cause.
        child_saga: The child saga of the step; empty for a step of the root saga.
        done_event: Published when the operation is done.
    """

    causes: tuple[Cause, ...]
    operation: AnyOperation
    make_message: Callable[[DataT], BaseModel]
    child_saga: str = ""
    done_event: OutgoingEvent | None = None

    @property
    def published_event_types(self) -> tuple[AnyEventType, ...]:
        """The types of the events that the reaction may publish."""
        return (self.done_event.event_type,) if self.done_event else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Do(_OperationReaction[DataT], Generic[DataT, ResultT]):
    """Executes an action; the published event depends on the outcome: done, rejected, or unknown."""

    rejected_event: OutgoingEvent | None = None
    unknown_event: OutgoingEvent | None = None

    @overload
    def on_done(self, event: EventType[DataT]) -> Self: ...
    @overload
    def on_done(self, event: EventType[OtherT], make_data: Callable[[DataT, ResultT], OtherT]) -> Self: ...
    def on_done(self, event: AnyEventType, make_data: Callable[..., BaseModel] | None = None) -> Self:
        """Publishes `event` when the action is done.

        Args:
            event: The type of the event; by default the event carries the data of the cause.
            make_data: Makes the data of the event from the data of the cause and the result of the action.
        """
        return replace(self, done_event=OutgoingEvent(event, make_data or _keep_data))

    def on_rejected(self, event: EventType[DataT]) -> Self:
        """Publishes `event` when the action is rejected; without `on_rejected` the cause is a dead letter."""
        return replace(self, rejected_event=OutgoingEvent(event, _keep_data))

    def on_unknown(self, event: EventType[DataT]) -> Self:
        """Publishes `event` when the outcome is unknown: the action may have happened and is compensated."""
        return replace(self, unknown_event=OutgoingEvent(event, _keep_data))

    @property
    def published_event_types(self) -> tuple[AnyEventType, ...]:
        """The types of the events that the reaction may publish, at most one event for one cause."""
        outgoing = (self.done_event, self.rejected_event, self.unknown_event)
        return tuple(each.event_type for each in outgoing if each)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compensate(_OperationReaction[DataT]):
    """Compensates an action under its idempotency key; an action that arrives later has no effect."""

    def on_done(self, event: EventType[DataT]) -> Self:
        """Publishes `event` when no effect of the action is left."""
        return replace(self, done_event=OutgoingEvent(event, _keep_data))


@dataclass(frozen=True, slots=True, kw_only=True)
class Void(_OperationReaction[DataT]):
    """Voids an action that has not arrived: a late action has no effect. An executed action stays."""

    def on_done(self, event: EventType[DataT]) -> Self:
        """Publishes `event` when the action is void, and no event when the action was executed."""
        return replace(self, done_event=OutgoingEvent(event, _keep_data))


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """Publishes an event without changing data.

    Args:
        causes: The event types or the command types.
        event_type: The type of the published event.
        make_data: Makes the data of the event from an open transaction and the data of the cause; may reject
            with `RejectedError`.
    """

    causes: tuple[Cause, ...]
    event_type: AnyEventType
    make_data: Callable[..., BaseModel]

    @property
    def published_event_types(self) -> tuple[AnyEventType, ...]:
        """The type of the published event."""
        return (self.event_type,)


# Any: a participant holds reactions to different data, each checked by the methods of `ReactionBuilder`.
AnyOperationReaction: TypeAlias = Do[Any, Any] | Compensate[Any] | Void[Any]
Reaction: TypeAlias = AnyOperationReaction | Publish


@dataclass(frozen=True, slots=True)
class ReactionBuilder(Generic[DataT]):
    """The causes of a reaction, made by `on(…)`; each method completes the reaction."""

    causes: tuple[EventType[DataT] | CommandType[DataT], ...]

    @overload
    def do(self, operation: Operation[DataT, ResultT], /, *, child_saga: str = "") -> Do[DataT, ResultT]: ...
    @overload
    def do(
        self,
        operation: Operation[MessageT, ResultT],
        make_message: Callable[[DataT], MessageT],
        /,
        *,
        child_saga: str = "",
    ) -> Do[DataT, ResultT]: ...
    def do(
        self,
        operation: AnyOperation,
        make_message: Callable[..., BaseModel] | None = None,
        /,
        *,
        child_saga: str = "",
    ) -> Do[Any, Any]:
        """Executes an action of the participant.

        Args:
            operation: The action.
            make_message: Makes the message from the data of the cause; by default the data is the message.
            child_saga: The child saga of the step in the orchestrated style, as a part of the idempotency
                key: `child_saga="payment"`.
        """
        return Do(
            causes=self.causes,
            operation=operation,
            make_message=make_message or _use_as_message,
            child_saga=child_saga,
        )

    @overload
    def compensate(self, action: Operation[DataT, Any], /, *, child_saga: str = "") -> Compensate[DataT]: ...
    @overload
    def compensate(
        self,
        action: Operation[MessageT, Any],
        make_message: Callable[[DataT], MessageT],
        /,
        *,
        child_saga: str = "",
    ) -> Compensate[DataT]: ...
    def compensate(
        self,
        action: AnyOperation,
        make_message: Callable[..., BaseModel] | None = None,
        /,
        *,
        child_saga: str = "",
    ) -> Compensate[Any]:
        """Compensates `action` with the handler's compensation; `do` explains the arguments."""
        return Compensate(
            causes=self.causes,
            operation=action,
            make_message=make_message or _use_as_message,
            child_saga=child_saga,
        )

    @overload
    def void(self, action: Operation[DataT, Any], /, *, child_saga: str = "") -> Void[DataT]: ...
    @overload
    def void(
        self,
        action: Operation[MessageT, Any],
        make_message: Callable[[DataT], MessageT],
        /,
        *,
        child_saga: str = "",
    ) -> Void[DataT]: ...
    def void(
        self,
        action: AnyOperation,
        make_message: Callable[..., BaseModel] | None = None,
        /,
        *,
        child_saga: str = "",
    ) -> Void[Any]:
        """Voids `action` unless executed: for an action without a compensation, as a pivot."""
        return Void(
            causes=self.causes,
            operation=action,
            make_message=make_message or _use_as_message,
            child_saga=child_saga,
        )

    @overload
    def publish(self, event: EventType[DataT], /) -> Publish: ...
    @overload
    def publish(
        self, event: EventType[OtherT], make_data: Callable[[sqlite3.Connection, DataT], OtherT], /
    ) -> Publish: ...
    def publish(self, event: AnyEventType, make_data: Callable[..., BaseModel] | None = None, /) -> Publish:
        """Publishes `event`; by default the event carries the data of the cause.

        Args:
            event: The type of the event.
            make_data: Makes the data of the event; may read tables of the participant.
        """
        return Publish(causes=self.causes, event_type=event, make_data=make_data or _use_as_data)


def on(*causes: EventType[DataT] | CommandType[DataT]) -> ReactionBuilder[DataT]:
    """Begins a reaction to any of some event types, or to a command."""
    return ReactionBuilder(causes)


def _keep_data(data: BaseModel, result: object) -> BaseModel:
    del result
    return data


def _use_as_message(data: BaseModel) -> BaseModel:
    return data


def _use_as_data(tx: sqlite3.Connection, data: BaseModel) -> BaseModel:
    del tx
    return data
