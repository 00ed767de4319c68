"""A participant that runs: it hears events, reacts in its database, and its relay tells what follows."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from sagas import RejectedError

from .. import _tracing as tracing
from .._declarations.event import Event
from .._declarations.event_type import Command, DataT
from .._declarations.reactions import Reactions
from .._messaging.bus import Bus
from .._transaction.database import Database
from .._transaction.event_processor import Assignment, Handled, assignments, handle, obey
from .._transaction.failpoint import Failpoint, Pass, go_on
from .._transaction.fence import Refused
from .fault_injection import Door, OpenDoor
from .outbox_relay import Relay


class RunningParticipant:
    """Takes events from a bus and commands from outside; made by `run_participant`."""

    def __init__(
        self, reactions: Reactions, database: Database, relay: Relay, door: Door, failpoint: Pass
    ) -> None:
        self._reactions, self._database, self._relay = reactions, database, relay
        self._door, self._failpoint = door, failpoint
        self._entering: set[asyncio.Task[None]] = set()
        self._is_closed = False

    @property
    def commands(self) -> tuple[Command[Any], ...]:
        """Everything that it can be asked for from outside."""
        return self._reactions.commands

    async def obey(self, command: Command[DataT], data: DataT) -> str:
        """Does what a command asks for, once, however often it is asked for, and returns the saga's id.

        What follows from it is told if and only if it is committed.

        Raises:
            RejectedError: It is refused for good.
        """
        work = partial(obey, reactions=self._reactions, command=command, data=data)
        with tracing.obeying(command.name, command.saga_id(data), self._reactions.participant.name) as span:
            outcome = await self._database.transact(work)
            tracing.note_outcome(span, is_done=not isinstance(outcome, Refused))
        self._relay.wake()
        if isinstance(outcome, Refused):
            raise RejectedError(outcome.code, outcome.reason, outcome.field)
        return outcome

    async def hear(self, event: Event) -> None:
        """Handles one delivery of an event; when it returns, the event may be acknowledged.

        Raises:
            DeadLetterError: The event cannot be handled, now or later.
            Exception: Whatever else goes wrong; the event is to be delivered again.
        """
        with tracing.processing(event, self._reactions.participant.name) as span:
            handled = await self._hear(event)
            span.set_attribute(tracing.IS_REPEATED, handled.is_repeated)

    async def _hear(self, event: Event) -> Handled:
        asked = assignments(self._reactions, event)
        for each in asked:
            await self._enter(each)
        handled = await self._database.transact(
            partial(
                handle,
                reactions=self._reactions,
                event=event,
                is_answered=self._door.is_answered,
                failpoint=self._failpoint,
            )
        )
        self._relay.wake()
        self._failpoint(Failpoint.AFTER_COMMIT)
        if not handled.is_repeated:
            for each in asked:
                await self._door.leave(each)
        return handled

    def turn_away(self) -> None:
        """Turns away what still waits at the door, where nothing has happened to it; it will come again."""
        self._is_closed = True
        for waiting in self._entering:
            waiting.cancel()

    async def _enter(self, assignment: Assignment) -> None:
        entering = asyncio.create_task(self._door.enter(assignment))
        if self._is_closed:
            entering.cancel()
        self._entering.add(entering)
        try:
            await asyncio.wait([entering])
        finally:
            self._entering.discard(entering)
            entering.cancel()
        if entering.cancelled():
            raise InterruptedError(f"{assignment.operation!r} was turned away: its participant stops")
        entering.result()


@asynccontextmanager
async def run_participant(
    reactions: Reactions,
    database: Database,
    bus: Bus,
    *,
    door: Door | None = None,
    failpoint: Pass = go_on,
) -> AsyncGenerator[RunningParticipant, None]:
    """Lets a participant react for as long as the context is open.

    The topology has to be declared before. When the context closes, events that wait at the door are
    turned away, those that are being handled are finished, and what can be published is published; the
    rest waits in the outbox for the next start.

    Args:
        reactions: What it does on which event.
        database: Opened with the participant's schema; nobody else relays from it.
        bus: Where events come from and go to.
        door: What stands in between, for tests and demos.
        failpoint: Told of each failpoint that is passed, for tests.
    """
    relay = Relay(database, bus, clock=reactions.participant.clock, failpoint=failpoint)
    running = RunningParticipant(reactions, database, relay, door or OpenDoor(), failpoint)
    telling = asyncio.create_task(relay.run())
    try:
        async with bus.consume(reactions.participant.name, running.hear):
            try:
                yield running
            finally:
                running.turn_away()
    finally:
        relay.stop()
        await telling
