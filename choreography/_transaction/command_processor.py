"""Executes a command of a client in a transaction, once per saga."""

import sqlite3

from pydantic import BaseModel

from sagas import RejectedError

from .._declarations.event import LONGEST_ATTRIBUTE, event_id, is_attribute
from .._declarations.event_type import AnyCommandType
from .._declarations.reaction import Publish
from .._declarations.reactions import Reactions
from . import inbox
from .fence import KEY_REUSE, VOIDED, OperationRejected, fingerprint
from .operation_executor import OperationDone, OperationExecutor
from .reaction_executor import ReactionExecutor

INVALID_SAGA_ID = "invalid_saga_id"
"""The rejection code of a command whose saga id cannot be the correlation id of an event."""


class CommandProcessor:
    """Executes the commands of a participant.

    Args:
        reactions: The reactions of the participant.
    """

    def __init__(self, reactions: Reactions) -> None:
        self._reactions, self._participant = reactions, reactions.participant
        self._reaction_executor = ReactionExecutor(OperationExecutor(reactions.participant))

    def execute(
        self, tx: sqlite3.Connection, command_type: AnyCommandType, data: BaseModel
    ) -> str | OperationRejected:
        """Executes all reactions to a command; a repeated command gets the same answer and has no effect.

        Returns:
            The id of the saga, or `OperationRejected`; the caller commits the transaction in both cases.

        Raises:
            RejectedError: The saga cannot start; the caller must roll back.
        """
        saga_id, content = _saga_id(command_type, data), fingerprint(data)
        first_content = self._admit(tx, command_type, saga_id, content)
        is_new = first_content is None
        if first_content not in {None, content}:
            return OperationRejected(
                code=KEY_REUSE, reason=f"saga {saga_id!r} was started before by a command with other content"
            )
        rejected: OperationRejected | None = None
        for reaction in self._reactions.find_reactions(command_type):
            if not is_new and isinstance(reaction, Publish):
                continue
            planned = self._reaction_executor.plan(reaction, saga_id, data)
            result = self._reaction_executor.execute(tx, planned)
            match result.outcome:
                case OperationDone(is_repeated=True) if is_new:
                    raise RejectedError(
                        KEY_REUSE, f"saga {saga_id!r} was started before in the orchestrated style"
                    )
                case OperationRejected(code=code, reason=reason) if code == VOIDED:
                    # A repeated command was accepted before, and its saga has been compensated since.
                    if is_new:
                        raise RejectedError(code, reason)
                case OperationRejected() as outcome:
                    rejected = rejected or outcome
                case _:
                    pass
            if is_new:
                self._reaction_executor.store_event(tx, planned, result, cause=None)
        return rejected or saga_id

    def _admit(
        self, tx: sqlite3.Connection, command_type: AnyCommandType, saga_id: str, content: str
    ) -> str | None:
        entry = inbox.InboxEntry(
            participant=self._participant.name,
            event_id=event_id(saga_id, command_type.name, None),
            saga_id=saga_id,
            type=command_type.name,
            fingerprint=content,
        )
        return inbox.admit(tx, entry, now=self._participant.clock())


def _saga_id(command_type: AnyCommandType, data: BaseModel) -> str:
    """Derives the id of the saga.

    Raises:
        RejectedError: The id cannot be the correlation id of an event: the first event of the saga would be
            stored, and never published.
    """
    saga_id = command_type.saga_id(data)
    if not is_attribute(saga_id):
        raise RejectedError(
            INVALID_SAGA_ID,
            f"the id of a saga has 1 to {LONGEST_ATTRIBUTE} bytes in UTF-8; got {saga_id[:80]!a}",
        )
    return saga_id
