"""A participant as data: operations on the participant's data, with their business code."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Generic, Literal, Protocol, Self, TypeAlias, TypeVar

from pydantic import BaseModel

from sagas import DefinitionError, Operation

MessageT = TypeVar("MessageT", bound=BaseModel)
ResultT = TypeVar("ResultT", bound=BaseModel)
CodeResultT = TypeVar("CodeResultT", bound=BaseModel | None)

BusinessCode: TypeAlias = Callable[[sqlite3.Connection, MessageT, str], CodeResultT]
"""Called as `code(tx, message, key)`: an open transaction, the message, and the idempotency key."""


class CompensationResult(Protocol):
    """The interface of a compensation's result model; the fence fills in `found`."""

    @property
    def found(self) -> Literal["effect", "nothing"]:
        """Whether an effect of the action was there to compensate."""
        ...

    @classmethod
    def model_validate(cls, obj: object, /) -> Self:
        """Builds the result, as in pydantic."""
        ...


CompensationResultT = TypeVar("CompensationResultT", bound=CompensationResult)


@dataclass(frozen=True, slots=True)
class Compensation(Generic[MessageT]):
    """The compensation of an action; the business code must not reject and has no result."""

    operation: Operation[MessageT, Any]  # Any: the fence makes the result, not the business code
    code: BusinessCode[MessageT, None]


@dataclass(frozen=True, slots=True)
class OperationHandler(Generic[MessageT, ResultT]):
    """The business code of an operation.

    The fence calls `code(tx, message, key)` in the transaction of the fence row: the code takes effect at
    most once per idempotency key. The code rejects by raising `sagas.RejectedError`; a rejection rolls back
    every write of the code. Code for another message or another result is a type error.
    """

    operation: Operation[MessageT, ResultT]
    code: BusinessCode[MessageT, ResultT]
    compensation: Compensation[MessageT] | None = None

    def compensated_by(
        self,
        operation: Operation[MessageT, CompensationResultT],
        code: BusinessCode[MessageT, None],
    ) -> "OperationHandler[MessageT, ResultT]":
        """Adds the compensation, called with the message and the idempotency key of the action.

        Raises:
            DefinitionError: The compensation equals the action, or belongs to another participant.
        """
        if operation.name == self.operation.name:
            raise DefinitionError(f"operation {operation.name!r} cannot be its own compensation")
        if operation.participant != self.operation.participant:
            raise DefinitionError(
                f"{operation.name!r} of participant {operation.participant!r} cannot compensate "
                f"{self.operation.name!r} of {self.operation.participant!r}: only the owner of the data can"
            )
        return replace(self, compensation=Compensation(operation, code))


# Any: a participant holds operations of different messages and results, each checked by its handler.
AnyOperation: TypeAlias = Operation[Any, Any]
AnyHandler: TypeAlias = OperationHandler[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """The owner of some data, and the operations on this data. Holds no database connection.

    Args:
        name: The participant of the operations.
        tables: SQL for the business tables (`create table if not exists`).
        handlers: The business code of each action.
        clock: Gives the time for timestamps; no decision depends on the clock.

    Raises:
        DefinitionError: An operation belongs to another participant, or has two handlers.
    """

    name: str
    tables: str
    handlers: tuple[AnyHandler, ...]
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        names = [operation.name for operation in self.operations]
        for operation in self.operations:
            if operation.participant != self.name:
                raise DefinitionError(
                    f"operation {operation.name!r} belongs to participant {operation.participant!r}, "
                    f"not to {self.name!r}"
                )
            if names.count(operation.name) > 1:
                raise DefinitionError(
                    f"operation {operation.name!r} has two handlers in participant {self.name!r}"
                )

    @property
    def operations(self) -> tuple[AnyOperation, ...]:
        """All actions, then all compensations."""
        actions = [handler.operation for handler in self.handlers]
        compensations = [handler.compensation.operation for handler in self.handlers if handler.compensation]
        return (*actions, *compensations)

    def find_handler(self, action: str) -> AnyHandler:
        """Finds the handler of an action.

        Raises:
            KeyError: The participant has no action of this name.
        """
        for handler in self.handlers:
            if handler.operation.name == action:
                return handler
        raise KeyError(action)
