"""The door through which events come: the same faults as at the HTTP door, as they look to a participant."""

from datetime import timedelta

from choreography import Assignment

from .fault_injection import Fault, Gates, Hindrances, fault_for

GATE_PATIENCE = timedelta(seconds=45)
"""Shorter than the minute that a bus gives a handler; then the event is delivered again, and waits again."""


class ReplyLostError(Exception):
    """What was committed could not be acknowledged: the event will be delivered again."""


class EventDoor:
    """A `choreography.Door` that has what the data of an event asks for; see docs/test-data.md.

    Args:
        gates: Those of the service's HTTP door, where they are opened.
    """

    def __init__(self, gates: Gates) -> None:
        self._hindrances = Hindrances(gates, patience=GATE_PATIENCE)

    async def enter(self, assignment: Assignment) -> None:
        """Waits, or refuses once, before the transaction and outside of it."""
        await self._hindrances.pass_by(assignment.operation, assignment.message, assignment.key)

    def is_answered(self, assignment: Assignment) -> bool:
        """False where all replies are lost: the effect is committed, and its participant cannot know."""
        return fault_for(assignment.operation, assignment.message) is not Fault.REPLIES_LOST

    async def leave(self, assignment: Assignment) -> None:
        """Loses the first acknowledgement, where the data asks for it."""
        if fault_for(assignment.operation, assignment.message) is Fault.REPLY_LOST:
            raise ReplyLostError(assignment.key)
