"""A participant as data: which business code stands behind which operation, and which makes up for it."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Generic, Literal, Protocol, Self, TypeVar

from pydantic import BaseModel

from sagas import DefinitionError, Operation, RejectedError

from .. import _tracing as tracing
from .._errors import ContractError
from .._transaction.database import Database
from .._transaction.fence import (
    KEY_REUSE,
    VOIDED,
    Call,
    Done,
    Refused,
    TakenBack,
    act,
    compensate,
    fingerprint,
    void,
)
from .._transaction.fence import SCHEMA as FENCE
from .._transaction.inbox import SCHEMA as INBOX
from .._transaction.outbox import SCHEMA as OUTBOX

MessageT = TypeVar("MessageT", bound=BaseModel)
ResultT = TypeVar("ResultT", bound=BaseModel)


class CompensationResult(Protocol):
    """What the model of a compensation's answer must have; the fence fills it in."""

    @property
    def found(self) -> Literal["effect", "nothing"]:
        """Whether there was an effect of the action to make up for."""
        ...

    @classmethod
    def model_validate(cls, obj: object, /) -> Self:
        """Pydantic's."""
        ...


CompensationResultT = TypeVar("CompensationResultT", bound=CompensationResult)


@dataclass(frozen=True, slots=True)
class Compensation(Generic[MessageT]):
    """The business code that makes up for an action. It returns nothing and refuses nothing."""

    operation: Operation[MessageT, Any]  # Any: its result is made by the fence, not by the code
    code: Callable[[sqlite3.Connection, MessageT, str], None]


@dataclass(frozen=True, slots=True)
class Handles(Generic[MessageT, ResultT]):
    """Business code wired to the operation that it carries out.

    The code is called at most once per idempotency key with effect, inside a transaction that the fence
    shares: `code(tx, message, key)`. It refuses with `sagas.RejectedError`, and leaves nothing behind
    when it does. Code for another message or result is a type error.
    """

    operation: Operation[MessageT, ResultT]
    code: Callable[[sqlite3.Connection, MessageT, str], ResultT]
    compensation: Compensation[MessageT] | None = None

    def compensated_by(
        self,
        operation: Operation[MessageT, CompensationResultT],
        code: Callable[[sqlite3.Connection, MessageT, str], None],
    ) -> "Handles[MessageT, ResultT]":
        """The same, with the operation that makes up for it; both take the same message and the same key.

        Raises:
            DefinitionError: It is the action itself, or belongs to another participant.
        """
        if operation.name == self.operation.name:
            raise DefinitionError(f"operation {operation.name!r} cannot be its own compensation")
        if operation.participant != self.operation.participant:
            raise DefinitionError(
                f"{operation.name!r} of participant {operation.participant!r} cannot compensate "
                f"{self.operation.name!r} of {self.operation.participant!r}: only the owner of the data can"
            )
        return replace(self, compensation=Compensation(operation, code))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the participant says, and whether it had said so before.

    Args:
        result: An instance of the operation's result model.
        is_repeated: The key was handled before, and nothing happened this time.
    """

    result: BaseModel
    is_repeated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """Who owns some data, and the operations that change it. Pure data: the database is handed in.

    Args:
        name: The participant of its operations.
        tables: SQL that creates its business tables (`create table if not exists`).
        handles: Each operation with its business code.
        clock: For timestamps; nothing is decided by it.

    Raises:
        DefinitionError: An operation belongs to another participant, or appears twice.
    """

    name: str
    tables: str
    handles: tuple[Handles[Any, Any], ...]  # Any: each has its own types, checked where it was made
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
                raise DefinitionError(f"operation {operation.name!r} is handled twice by {self.name!r}")

    @property
    def operations(self) -> tuple[Operation[Any, Any], ...]:
        """Every operation that it can be asked for, compensations included."""
        actions = [handled.operation for handled in self.handles]
        compensations = [handled.compensation.operation for handled in self.handles if handled.compensation]
        return (*actions, *compensations)

    @property
    def schema(self) -> str:
        """SQL for everything that its database holds: its business tables, the fence, inbox and outbox."""
        return FENCE + INBOX + OUTBOX + self.tables

    def handled(self, operation: str) -> Handles[Any, Any]:
        """The business code behind an action.

        Raises:
            KeyError: It handles no such action.
        """
        for handled in self.handles:
            if handled.operation.name == operation:
                return handled
        raise KeyError(operation)

    async def handle(self, database: Database, operation: str, message: BaseModel, key: str) -> Answer:
        """Carries an operation out in one transaction on its database: fence, effect and answer together.

        Raises:
            RejectedError: Refused for good, now or when the key was first used; there is no effect. The
                codes `key_reuse` and `voided` are the fence's, all others the business code's.
            ContractError: The business code broke its contract; nothing was committed.
            KeyError: There is no such operation.
        """
        work = partial(self.carry_out, operation=operation, message=message, key=key)
        outcome = await database.transact(work)
        if isinstance(outcome, Refused):
            raise RejectedError(outcome.code, outcome.reason, outcome.field)
        return outcome

    def carry_out(
        self, tx: sqlite3.Connection, operation: str, message: BaseModel, key: str
    ) -> Answer | Refused:
        """Carries an operation out in the caller's transaction, which is to be committed also on `Refused`.

        Raises:
            ContractError: The business code broke its contract; the transaction must be rolled back.
            KeyError: There is no such operation.
        """
        with tracing.carrying_out(operation, self.name) as span:
            outcome = self._carry_out(tx, operation, message, key)
            tracing.note_outcome(span, is_done=isinstance(outcome, Answer))
            return outcome

    def _carry_out(
        self, tx: sqlite3.Connection, operation: str, message: BaseModel, key: str
    ) -> Answer | Refused:
        for handled in self.handles:
            if handled.operation.name == operation:
                return _act(tx, handled, message, key, self.clock())
            if handled.compensation and handled.compensation.operation.name == operation:
                return _compensate(tx, handled, message, key, self.clock())
        raise KeyError(operation)

    def void(self, tx: sqlite3.Connection, operation: str, message: BaseModel, key: str) -> bool:
        """Makes void an action that has not come yet, in the caller's transaction; false if it has come.

        Raises:
            ContractError: The message is not the operation's.
            KeyError: There is no such action.
        """
        action = self.handled(operation).operation
        _check_type("message", action, message, action.message)
        return void(tx, _call(action, message, key), now=self.clock())


def _act(
    tx: sqlite3.Connection, handled: Handles[Any, Any], message: BaseModel, key: str, now: datetime
) -> Answer | Refused:
    operation = handled.operation
    _check_type("message", operation, message, operation.message)

    def run() -> str:
        try:
            result = handled.code(tx, message, key)
        except RejectedError as error:
            # The caller would take an undeclared refusal for an unknown outcome.
            if error.code not in operation.rejections or error.code in {KEY_REUSE, VOIDED}:
                raise ContractError(
                    f"{operation.name!r} refused with {error.code!r}, which it does not declare"
                ) from error
            raise
        _check_type("result", operation, result, operation.result)
        return str(result.model_dump_json())

    match act(tx, _call(operation, message, key), run, now=now):
        case Done(result=result, is_repeated=is_repeated):
            return Answer(result=operation.result.model_validate_json(result), is_repeated=is_repeated)
        case Refused() as refused:
            return refused


def _compensate(
    tx: sqlite3.Connection, handled: Handles[Any, Any], message: BaseModel, key: str, now: datetime
) -> Answer | Refused:
    assert handled.compensation is not None
    operation, code = handled.compensation.operation, handled.compensation.code
    _check_type("message", operation, message, operation.message)

    def run() -> None:
        try:
            code(tx, message, key)
        except RejectedError as error:
            raise ContractError(
                f"{operation.name!r} is a compensation and must not refuse: {error}"
            ) from error

    match compensate(tx, _call(handled.operation, message, key), run, now=now):
        case TakenBack(found=found, is_repeated=is_repeated):
            return Answer(result=operation.result.model_validate({"found": found}), is_repeated=is_repeated)
        case Refused() as refused:
            return refused


def _call(action: Operation[Any, Any], message: BaseModel, key: str) -> Call:
    return Call(action=action.name, key=key, fingerprint=fingerprint(message))


def _check_type(what: str, operation: Operation[Any, Any], value: object, expected: type) -> None:
    if not isinstance(value, expected):
        raise ContractError(
            f"the {what} of {operation.name!r} is a {expected.__name__}, not a {type(value).__name__}"
        )
