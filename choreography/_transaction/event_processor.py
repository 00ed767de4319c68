"""One event, or one command, in one transaction: the inbox, the fence, the change, and the outbox.

Nothing here is async, and nothing knows a broker: a service runs it in its database's thread, and a
simulation on a connection in memory.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from json import dumps
from typing import Any

from pydantic import BaseModel, ValidationError

from sagas import RejectedError, idempotency_key

from .. import _tracing as tracing
from .._declarations.event import Event, event_id, next_event
from .._declarations.event_type import Command, Fact
from .._declarations.participant import Answer, Participant
from .._declarations.reaction import Compensate, Do, Reaction, Tell, Telling, Void
from .._declarations.reactions import Reactions
from .._errors import DeadLetterError
from . import inbox, outbox
from .failpoint import Failpoint, Pass, go_on
from .fence import KEY_REUSE, VOIDED, Refused, fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """An operation that an event leads to, with its message and its idempotency key."""

    operation: str
    message: BaseModel
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Handled:
    """What became of an event.

    Args:
        is_repeated: It was handled before, and nothing happened this time.
        told: The events that follow from it, which are in the outbox.
    """

    is_repeated: bool
    told: tuple[Event, ...] = ()


IsAnswered = Callable[[Assignment], bool]
"""Whether the participant learns what an operation has come to."""


def always_answered(assignment: Assignment) -> bool:
    """Business code that runs in the participant's own transaction answers."""
    del assignment
    return True


def handle(
    tx: sqlite3.Connection,
    reactions: Reactions,
    event: Event,
    *,
    is_answered: IsAnswered = always_answered,
    failpoint: Pass = go_on,
) -> Handled:
    """Does everything that follows from an event in the caller's transaction, the first time it comes.

    Raises:
        DeadLetterError: It cannot be handled, now or later; the transaction must be rolled back.
        ContractError: Business code broke its contract; the transaction must be rolled back.
    """
    fact, data = understand(reactions, event)
    participant = reactions.participant
    first = inbox.admit(
        tx,
        participant.name,
        event.id,
        saga_id=event.saga_id,
        event_type=event.type,
        now=participant.clock(),
    )
    if first is not None:
        return Handled(is_repeated=True)
    failpoint(Failpoint.AFTER_INBOX)
    told: list[Event] = []
    for reaction in reactions.to(fact):
        try:
            said, _ = _react(tx, participant, reaction, event.saga_id, data, is_answered=is_answered)
        except RejectedError as error:
            raise DeadLetterError(f"{participant.name!r} refuses {event.type!r}: {error}") from error
        if said is not None:
            told.append(_tell(tx, participant, event.saga_id, said, cause=event))
    failpoint(Failpoint.BEFORE_COMMIT)
    return Handled(is_repeated=False, told=tuple(told))


def obey(
    tx: sqlite3.Connection, reactions: Reactions, command: Command[Any], data: BaseModel
) -> str | Refused:
    """Does what a command asks for in the caller's transaction, the first time it is asked for.

    Returns:
        The id of the saga; or `Refused`, after which the transaction is to be committed all the same.

    Raises:
        RejectedError: It could not even be begun; the transaction must be rolled back.
    """
    participant = reactions.participant
    saga_id, content = command.saga_id(data), fingerprint(data)
    first = inbox.admit(
        tx,
        participant.name,
        event_id(saga_id, command.name, None),
        saga_id=saga_id,
        event_type=command.name,
        fingerprint=content,
        now=participant.clock(),
    )
    if first not in {None, content}:
        return Refused(code=KEY_REUSE, reason=f"saga {saga_id!r} was asked before for something else")
    refused: Refused | None = None
    for reaction in reactions.to(command):
        if first is not None and isinstance(reaction, Tell):
            continue
        said, outcome = _react(tx, participant, reaction, saga_id, data)
        match outcome:
            case Answer(is_repeated=True) if first is None:
                raise RejectedError(KEY_REUSE, f"saga {saga_id!r} runs already, in another style")
            case Refused(code=code, reason=reason) if code == VOIDED:
                if first is None:
                    raise RejectedError(code, reason)
                # It was accepted, and its saga has been compensated since.
            case Refused():
                refused = refused or outcome
            case _:
                pass
        if said is not None and first is None:
            _tell(tx, participant, saga_id, said, cause=None)
    return refused or saga_id


def understand(reactions: Reactions, event: Event) -> tuple[Fact[Any], BaseModel]:
    """Which fact an event tells, and its data.

    Raises:
        DeadLetterError: The participant does not react to it, or its data is not what was agreed.
    """
    name = reactions.participant.name
    for fact in reactions.facts:
        if (fact.by, fact.name) == (event.source, event.type):
            try:
                return fact, fact.data.model_validate_json(dumps(event.data))
            except ValidationError as error:
                first = error.errors(include_url=False, include_context=False, include_input=False)[0]
                where = ".".join(map(str, first["loc"]))
                raise DeadLetterError(
                    f"{name!r} cannot read {event.type!r}: {where}: {first['msg']}"
                ) from None
    raise DeadLetterError(f"{name!r} does not react to {event.type!r} of {event.source!r}")


def assignments(reactions: Reactions, event: Event) -> tuple[Assignment, ...]:
    """The operations that an event leads to, in their order.

    Raises:
        DeadLetterError: As `understand`.
    """
    fact, data = understand(reactions, event)
    return tuple(
        _assignment(reactions.participant, reaction, event.saga_id, data)
        for reaction in reactions.to(fact)
        if not isinstance(reaction, Tell)
    )


_Said = tuple[Telling, BaseModel]


def _react(
    tx: sqlite3.Connection,
    participant: Participant,
    reaction: Reaction,
    saga_id: str,
    data: BaseModel,
    *,
    is_answered: IsAnswered = always_answered,
) -> tuple[_Said | None, Answer | Refused | None]:
    if isinstance(reaction, Tell):
        return (reaction.told, reaction.look_up(tx, data)), None
    asked = _assignment(participant, reaction, saga_id, data)
    if isinstance(reaction, Void):
        is_void = participant.void(tx, asked.operation, asked.message, asked.key)
        return _said(reaction.told if is_void else None, data, None), None
    outcome = participant.carry_out(tx, asked.operation, asked.message, asked.key)
    telling = _outcome_of(reaction, outcome, is_answered=is_answered(asked))
    return _said(telling, data, outcome.result if isinstance(outcome, Answer) else None), outcome


def _outcome_of(
    reaction: Do[Any, Any] | Compensate[Any], outcome: Answer | Refused, *, is_answered: bool
) -> Telling | None:
    """What is told of an outcome.

    Raises:
        RejectedError: The refusal is for a person to see, as no participant is told of it.
    """
    unknown = reaction.unknown if isinstance(reaction, Do) else None
    if isinstance(outcome, Answer):
        return reaction.told if is_answered or unknown is None else unknown
    # Whoever made it void has told so.
    if outcome.code == VOIDED:
        return None
    if outcome.code == KEY_REUSE or not isinstance(reaction, Do) or reaction.rejected is None:
        raise RejectedError(outcome.code, outcome.reason, outcome.field)
    return reaction.rejected


def _said(telling: Telling | None, data: BaseModel, result: BaseModel | None) -> _Said | None:
    return (telling, telling.of(data, result)) if telling else None


def _tell(
    tx: sqlite3.Connection, participant: Participant, saga_id: str, said: _Said, cause: Event | None
) -> Event:
    telling, data = said
    event = next_event(
        saga_id=saga_id,
        type=telling.fact.name,
        source=participant.name,
        time=participant.clock(),
        data=data.model_dump(mode="json"),
        cause=cause,
        traceparent=cause.traceparent if cause else None,
    )
    event = tracing.created(event)
    outbox.add(tx, event)
    return event


def _assignment(
    participant: Participant,
    reaction: Do[Any, Any] | Compensate[Any] | Void[Any],
    saga_id: str,
    data: BaseModel,
) -> Assignment:
    action = reaction.operation.name
    address = f"{reaction.within}:{action}" if reaction.within else action
    operation = action
    if isinstance(reaction, Compensate):
        makes_up = participant.handled(action).compensation
        assert makes_up is not None
        operation = makes_up.operation.name
    return Assignment(operation=operation, message=reaction.of(data), key=idempotency_key(saga_id, address))
