"""Processes an event in a transaction: the inbox, the fence, the business change, and the outbox.

The processor is synchronous and independent of brokers: the runner calls the processor in the writer thread
of the database, a simulation on a connection in memory.
"""

import sqlite3
from dataclasses import dataclass
from json import dumps

from pydantic import BaseModel, ValidationError

from sagas import RejectedError, invalid_fields

from .._declarations.event import Event
from .._declarations.event_type import AnyEventType
from .._declarations.reactions import Reactions
from .._errors import DeadLetterError
from . import inbox
from .failpoint import Failpoint, FailpointHook, ignore_failpoint
from .operation_executor import OperationExecutor, OperationRequest
from .reaction_executor import IsOutcomeKnown, PlannedReaction, ReactionExecutor, always_known


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedEvent:
    """An event with validated data, and the planned reactions in their order."""

    event: Event
    reactions: tuple[PlannedReaction, ...]

    @property
    def requests(self) -> tuple[OperationRequest, ...]:
        """The requested operations of all reactions."""
        return tuple(planned.request for planned in self.reactions if planned.request is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessedEvent:
    """The result of processing an event.

    Args:
        is_repeated: The event was processed before; this delivery had no effect.
        following: The events stored in the outbox.
    """

    is_repeated: bool
    following: tuple[Event, ...] = ()


class EventProcessor:
    """Processes the events of a participant: `parse` outside of a transaction, then `process` inside.

    Args:
        reactions: The reactions of the participant.
        executor: Executes the operations of the participant.
        is_outcome_known: Whether the outcome of an executed operation is known.
        on_failpoint: Called at each failpoint.
    """

    def __init__(
        self,
        reactions: Reactions,
        *,
        executor: OperationExecutor | None = None,
        is_outcome_known: IsOutcomeKnown = always_known,
        on_failpoint: FailpointHook = ignore_failpoint,
    ) -> None:
        self._reactions, self._participant = reactions, reactions.participant
        self._reaction_executor = ReactionExecutor(
            executor or OperationExecutor(self._participant), is_outcome_known
        )
        self._on_failpoint = on_failpoint

    def parse(self, event: Event) -> ParsedEvent:
        """Validates the data of an event and plans the reactions.

        Raises:
            DeadLetterError: The participant does not react to the event, or the data is invalid.
        """
        event_type = self._find_event_type(event)
        data = self._parse_data(event_type, event)
        return ParsedEvent(
            event=event,
            reactions=tuple(
                self._reaction_executor.plan(reaction, event.saga_id, data)
                for reaction in self._reactions.find_reactions(event_type)
            ),
        )

    def process(self, tx: sqlite3.Connection, parsed: ParsedEvent) -> ProcessedEvent:
        """Executes all reactions to an event in the caller's transaction; ignores a repeated event.

        Raises:
            DeadLetterError: The event can never be handled; the caller must roll back.
            ContractError: The business code broke a contract; the caller must roll back.
        """
        event = parsed.event
        if self._is_repeated(tx, event):
            return ProcessedEvent(is_repeated=True)
        self._on_failpoint(Failpoint.AFTER_INBOX)
        following: list[Event] = []
        for planned in parsed.reactions:
            try:
                result = self._reaction_executor.execute(tx, planned)
            except RejectedError as error:
                raise DeadLetterError(
                    f"participant {self._participant.name!r} rejects {event.type!r}: {error}"
                ) from error
            stored = self._reaction_executor.store_event(tx, planned, result, event)
            if stored is not None:
                following.append(stored)
        self._on_failpoint(Failpoint.BEFORE_COMMIT)
        return ProcessedEvent(is_repeated=False, following=tuple(following))

    def _is_repeated(self, tx: sqlite3.Connection, event: Event) -> bool:
        entry = inbox.InboxEntry(
            participant=self._participant.name, event_id=event.id, saga_id=event.saga_id, type=event.type
        )
        return inbox.admit(tx, entry, now=self._participant.clock()) is not None

    def _find_event_type(self, event: Event) -> AnyEventType:
        for event_type in self._reactions.event_types:
            if (event_type.source, event_type.name) == (event.source, event.type):
                return event_type
        raise DeadLetterError(
            f"participant {self._participant.name!r} does not react to {event.type!r} of {event.source!r}"
        )

    def _parse_data(self, event_type: AnyEventType, event: Event) -> BaseModel:
        try:
            data: BaseModel = event_type.data.model_validate_json(dumps(event.data))
        except ValidationError as error:
            first = invalid_fields(error)[0]
            raise DeadLetterError(
                f"participant {self._participant.name!r} cannot read {event.type!r}: {first}"
            ) from None
        return data
