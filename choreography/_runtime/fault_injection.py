"""What stands between an event and the transaction that handles it."""

from typing import Protocol

from .._transaction.event_processor import Assignment


class Door(Protocol):
    """What an event passes on its way to the business code, and its answer on its way back.

    In production it is open. Tests and demos put there what goes wrong with requests in a network.
    """

    async def enter(self, assignment: Assignment) -> None:
        """Before the transaction, for each operation that the event leads to, and on each delivery.

        Raises:
            Exception: The event is delivered again later.
        """
        ...

    def is_answered(self, assignment: Assignment) -> bool:
        """Whether the participant learns what the operation comes to; else its outcome is unknown."""
        ...

    async def leave(self, assignment: Assignment) -> None:
        """After the commit of an event that was handled for the first time.

        Raises:
            Exception: The event is delivered again, and has no further effect.
        """
        ...


class OpenDoor:
    """Nothing stands in the way."""

    async def enter(self, assignment: Assignment) -> None:
        """Lets it in."""

    def is_answered(self, assignment: Assignment) -> bool:
        """Business code that runs in the participant's own transaction answers."""
        del assignment
        return True

    async def leave(self, assignment: Assignment) -> None:
        """Lets it out."""
