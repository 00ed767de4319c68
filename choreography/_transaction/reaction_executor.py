"""Executes a reaction: the requested operation, then the event of the outcome."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from pydantic import BaseModel

from sagas import RejectedError, idempotency_key

from .. import _tracing as tracing
from .._declarations.event import Event, create_event
from .._declarations.event_type import AnyEventType
from .._declarations.reaction import (
    AnyOperationReaction,
    Compensate,
    Do,
    OutgoingEvent,
    Publish,
    Reaction,
    Void,
)
from . import outbox
from .fence import KEY_REUSE, VOIDED, OperationRejected
from .operation_executor import OperationDone, OperationExecutor, OperationOutcome, OperationRequest

IsOutcomeKnown: TypeAlias = Callable[[OperationRequest], bool]
"""Whether the participant learns the outcome of an operation; tests simulate unknown outcomes."""


def always_known(request: OperationRequest) -> bool:
    """Knows every outcome: the business code runs in the participant's own transaction."""
    del request
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedReaction:
    """A reaction to an event or a command.

    Args:
        reaction: The reaction.
        saga_id: The saga of the event or the command.
        data: The data of the event or the command.
        request: The requested operation; `None` for `Publish`.
    """

    reaction: Reaction
    saga_id: str
    data: BaseModel
    request: OperationRequest | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReactionResult:
    """The result of a reaction: the outcome of the operation, and type and data of the event to publish."""

    event_type: AnyEventType | None
    event_data: BaseModel
    outcome: OperationOutcome | None


class ReactionExecutor:
    """Executes reactions in transactions of the caller.

    Args:
        operations: Executes the operations of the participant.
        is_outcome_known: Whether the outcome of an executed operation is known.
    """

    def __init__(
        self, operations: OperationExecutor, is_outcome_known: IsOutcomeKnown = always_known
    ) -> None:
        self._operations, self._participant = operations, operations.participant
        self._is_outcome_known = is_outcome_known

    def plan(self, reaction: Reaction, saga_id: str, data: BaseModel) -> PlannedReaction:
        """Derives the requested operation, with message and idempotency key."""
        request = None
        if not isinstance(reaction, Publish):
            action = reaction.operation.name
            address = f"{reaction.child_saga}:{action}" if reaction.child_saga else action
            request = OperationRequest(
                operation=self._find_operation(reaction),
                message=reaction.make_message(data),
                key=idempotency_key(saga_id, address),
            )
        return PlannedReaction(reaction=reaction, saga_id=saga_id, data=data, request=request)

    def execute(self, tx: sqlite3.Connection, planned: PlannedReaction) -> ReactionResult:
        """Executes a reaction, without storing the event.

        Raises:
            RejectedError: The operation was rejected, and the reaction publishes no event for the rejection.
        """
        reaction, data, request = planned.reaction, planned.data, planned.request
        if isinstance(reaction, Publish):
            return ReactionResult(
                event_type=reaction.event_type, event_data=reaction.make_data(tx, data), outcome=None
            )
        assert request is not None
        if isinstance(reaction, Void):
            is_void = self._operations.void(tx, request)
            return _build_result(reaction.done_event if is_void else None, data, None)
        outcome = self._operations.execute(tx, request)
        outgoing = _choose_event(reaction, outcome, is_known=self._is_outcome_known(request))
        return _build_result(outgoing, data, outcome)

    def store_event(
        self, tx: sqlite3.Connection, planned: PlannedReaction, result: ReactionResult, cause: Event | None
    ) -> Event | None:
        """Stores the event of a result in the outbox; `None` if the reaction publishes no event."""
        if result.event_type is None:
            return None
        event = create_event(
            result.event_type,
            result.event_data,
            saga_id=planned.saga_id,
            time=self._participant.clock(),
            cause=cause,
        )
        event = tracing.trace_creation(event)
        outbox.add(tx, event)
        return event

    def _find_operation(self, reaction: AnyOperationReaction) -> str:
        if not isinstance(reaction, Compensate):
            return reaction.operation.name
        compensation = self._participant.find_handler(reaction.operation.name).compensation
        assert compensation is not None
        return compensation.operation.name


def _choose_event(
    reaction: AnyOperationReaction, outcome: OperationOutcome, *, is_known: bool
) -> OutgoingEvent | None:
    unknown_event = reaction.unknown_event if isinstance(reaction, Do) else None
    if isinstance(outcome, OperationDone):
        return reaction.done_event if is_known or unknown_event is None else unknown_event
    # The participant has already published an event for the compensation or the voiding.
    if outcome.code == VOIDED:
        return None
    if outcome.code == KEY_REUSE or not isinstance(reaction, Do) or reaction.rejected_event is None:
        raise RejectedError(outcome.code, outcome.reason, outcome.field)
    return reaction.rejected_event


def _build_result(
    outgoing: OutgoingEvent | None, data: BaseModel, outcome: OperationDone | OperationRejected | None
) -> ReactionResult:
    if outgoing is None:
        return ReactionResult(event_type=None, event_data=data, outcome=outcome)
    result = outcome.result if isinstance(outcome, OperationDone) else None
    return ReactionResult(
        event_type=outgoing.event_type, event_data=outgoing.make_data(data, result), outcome=outcome
    )
