"""Executes operations of a participant behind the fence: effect and outcome commit together, once per key."""

import sqlite3
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from pydantic import BaseModel

from sagas import RejectedError

from .. import _tracing as tracing
from .._declarations.participant import AnyHandler, AnyOperation, Participant
from .._errors import ContractError
from . import fence
from .database import Database
from .fence import (
    KEY_REUSE,
    VOIDED,
    CompensationDone,
    FenceRequest,
    OperationRejected,
    StoredResult,
    fingerprint,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationRequest:
    """A request to execute an operation.

    Args:
        operation: The name of an action or of a compensation.
        message: An instance of the operation's message model.
        key: The idempotency key; a compensation has the key of the action.
    """

    operation: str
    message: BaseModel
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationDone:
    """The operation is done.

    Args:
        result: An instance of the operation's result model.
        is_repeated: The operation was executed for an earlier request; this request had no effect.
    """

    result: BaseModel
    is_repeated: bool


OperationOutcome: TypeAlias = OperationDone | OperationRejected


class OperationExecutor:
    """Executes the operations of a participant in transactions of the caller."""

    def __init__(self, participant: Participant) -> None:
        self.participant = participant

    def execute(self, tx: sqlite3.Connection, request: OperationRequest) -> OperationOutcome:
        """Executes an operation; the caller commits the transaction, also after `OperationRejected`.

        Raises:
            ContractError: The business code broke a contract; the caller must roll back.
            KeyError: The participant has no operation of this name.
        """
        with tracing.trace_operation(request.operation, self.participant.name) as span:
            outcome = self._execute(tx, request)
            tracing.set_outcome(span, is_done=isinstance(outcome, OperationDone))
            return outcome

    def void(self, tx: sqlite3.Connection, request: OperationRequest) -> bool:
        """Voids an action unless the action has arrived; returns whether the action is void.

        Raises:
            ContractError: The message is not an instance of the operation's message model.
            KeyError: The participant has no action of this name.
        """
        action = self.participant.find_handler(request.operation).operation
        _check_type("message", action, request.message, action.message)
        return fence.void(tx, _fence_request(action, request), now=self.participant.clock())

    def _execute(self, tx: sqlite3.Connection, request: OperationRequest) -> OperationOutcome:
        for handler in self.participant.handlers:
            if handler.operation.name == request.operation:
                return self._act(tx, handler, request)
            if handler.compensation and handler.compensation.operation.name == request.operation:
                return self._compensate(tx, handler, request)
        raise KeyError(request.operation)

    def _act(
        self, tx: sqlite3.Connection, handler: AnyHandler, request: OperationRequest
    ) -> OperationOutcome:
        operation = handler.operation
        _check_type("message", operation, request.message, operation.message)

        def run() -> str:
            try:
                result = handler.code(tx, request.message, request.key)
            except RejectedError as error:
                # The caller would treat an undeclared rejection as an unknown outcome.
                if error.code not in operation.rejections or error.code in {KEY_REUSE, VOIDED}:
                    raise ContractError(
                        f"operation {operation.name!r} rejected with the undeclared code {error.code!r}: "
                        "add the code to `rejections` of the operation"
                    ) from error
                raise
            _check_type("result", operation, result, operation.result)
            return str(result.model_dump_json())

        match fence.act(tx, _fence_request(operation, request), run, now=self.participant.clock()):
            case StoredResult(result=result, is_repeated=is_repeated):
                stored = operation.result.model_validate_json(result)
                return OperationDone(result=stored, is_repeated=is_repeated)
            case OperationRejected() as rejected:
                return rejected

    def _compensate(
        self, tx: sqlite3.Connection, handler: AnyHandler, request: OperationRequest
    ) -> OperationOutcome:
        assert handler.compensation is not None
        operation, code = handler.compensation.operation, handler.compensation.code
        _check_type("message", operation, request.message, operation.message)

        def run() -> None:
            try:
                code(tx, request.message, request.key)
            except RejectedError as error:
                raise ContractError(f"compensation {operation.name!r} must not reject: {error}") from error

        request_of_action = _fence_request(handler.operation, request)
        match fence.compensate(tx, request_of_action, run, now=self.participant.clock()):
            case CompensationDone(found=found, is_repeated=is_repeated):
                result = operation.result.model_validate({"found": found})
                return OperationDone(result=result, is_repeated=is_repeated)
            case OperationRejected() as rejected:
                return rejected


async def execute_operation(
    participant: Participant, database: Database, request: OperationRequest
) -> OperationDone:
    """Executes an operation of a participant in a separate transaction.

    Raises:
        RejectedError: The operation was rejected, now or at the first use of the key, and has no effect. The
            codes `key_reuse` and `voided` come from the fence, all others from the business code.
        ContractError: The business code broke a contract; the transaction was rolled back.
        KeyError: The participant has no operation of this name.
    """
    execute = partial(OperationExecutor(participant).execute, request=request)
    outcome = await database.transact(execute)
    if isinstance(outcome, OperationRejected):
        raise RejectedError(outcome.code, outcome.reason, outcome.field)
    return outcome


def _fence_request(action: AnyOperation, request: OperationRequest) -> FenceRequest:
    return FenceRequest(action=action.name, key=request.key, fingerprint=fingerprint(request.message))


def _check_type(role: str, operation: AnyOperation, value: object, expected: type) -> None:
    if not isinstance(value, expected):
        raise ContractError(
            f"the {role} of operation {operation.name!r} must be a {expected.__name__}, "
            f"not a {type(value).__name__}"
        )
