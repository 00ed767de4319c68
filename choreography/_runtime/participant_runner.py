"""Runs a participant: consumes events, processes each in a transaction, and relays the outbox."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

from sagas import RejectedError

from .. import _tracing as tracing
from .._declarations.event import Event
from .._declarations.event_type import AnyCommandType, CommandType, DataT
from .._declarations.reactions import Reactions
from .._messaging.bus import Bus
from .._transaction.command_processor import CommandProcessor
from .._transaction.database import Database
from .._transaction.event_processor import EventProcessor, ProcessedEvent
from .._transaction.failpoint import Failpoint, FailpointHook, ignore_failpoint
from .._transaction.fence import OperationRejected
from .._transaction.operation_executor import OperationRequest
from .fault_injection import FaultInjector, NoFaults
from .outbox_relay import OutboxRelay


class RunningParticipant:
    """A participant that handles events of a bus and commands of clients; made by `run_participant`."""

    def __init__(
        self,
        reactions: Reactions,
        database: Database,
        relay: OutboxRelay,
        fault_injector: FaultInjector,
        on_failpoint: FailpointHook,
    ) -> None:
        self._reactions, self._database, self._relay = reactions, database, relay
        self._fault_injector, self._on_failpoint = fault_injector, on_failpoint
        self._events = EventProcessor(
            reactions, is_outcome_known=fault_injector.is_outcome_known, on_failpoint=on_failpoint
        )
        self._commands = CommandProcessor(reactions)
        self._waiting: set[asyncio.Task[None]] = set()
        self._is_stopping = False

    @property
    def command_types(self) -> tuple[AnyCommandType, ...]:
        """The accepted types of commands."""
        return self._reactions.command_types

    async def execute_command(self, command_type: CommandType[DataT], data: DataT) -> str:
        """Executes a command and returns the saga id; a repeated command has no further effect.

        Events of the command are published if and only if the transaction commits.

        Raises:
            RejectedError: The command was rejected for good.
        """
        participant = self._reactions.participant.name
        execute = partial(self._commands.execute, command_type=command_type, data=data)
        with tracing.trace_command(command_type.name, command_type.saga_id(data), participant) as span:
            outcome = await self._database.transact(execute)
            tracing.set_outcome(span, is_done=not isinstance(outcome, OperationRejected))
        self._relay.wake()
        if isinstance(outcome, OperationRejected):
            raise RejectedError(outcome.code, outcome.reason, outcome.field)
        return outcome

    async def handle_event(self, event: Event) -> None:
        """Handles a delivery of an event; the caller may acknowledge the event afterwards.

        Raises:
            DeadLetterError: The event can never be handled.
            Exception: Any other failure; the event has to be redelivered.
        """
        with tracing.trace_processing(event, self._reactions.participant.name) as span:
            processed = await self._process(event)
            span.set_attribute(tracing.IS_REPEATED, processed.is_repeated)

    def stop_accepting(self) -> None:
        """Interrupts events that wait for the fault injector, before their transaction."""
        self._is_stopping = True
        for waiting in self._waiting:
            waiting.cancel()

    async def _process(self, event: Event) -> ProcessedEvent:
        parsed = self._events.parse(event)
        for request in parsed.requests:
            await self._wait_before(request)
        processed = await self._database.transact(partial(self._events.process, parsed=parsed))
        self._relay.wake()
        self._on_failpoint(Failpoint.AFTER_COMMIT)
        if not processed.is_repeated:
            for request in parsed.requests:
                await self._fault_injector.after_commit(request)
        return processed

    async def _wait_before(self, request: OperationRequest) -> None:
        waiting = asyncio.create_task(self._fault_injector.before_operation(request))
        if self._is_stopping:
            waiting.cancel()
        self._waiting.add(waiting)
        try:
            await asyncio.wait([waiting])
        finally:
            self._waiting.discard(waiting)
            waiting.cancel()
        if waiting.cancelled():
            raise InterruptedError(
                f"operation {request.operation!r} did not start: the participant is stopping"
            )
        waiting.result()


@asynccontextmanager
async def run_participant(
    reactions: Reactions,
    database: Database,
    bus: Bus,
    *,
    fault_injector: FaultInjector | None = None,
    on_failpoint: FailpointHook = ignore_failpoint,
) -> AsyncGenerator[RunningParticipant, None]:
    """Runs a participant while the context is open.

    Declare the topology first. Closing the context finishes running transactions and publishes stored events
    for at most the stop timeout of the relay; the remaining events wait in the outbox for the next start.

    Args:
        reactions: The reactions of the participant.
        database: Opened with `build_schema(participant)`; no other process may relay from this database.
        bus: The bus from which the participant consumes and to which the relay publishes.
        fault_injector: Injects faults around the transaction of an event, for tests and demonstrations.
        on_failpoint: Called at each failpoint, for tests.
    """
    relay = OutboxRelay(database, bus, clock=reactions.participant.clock, on_failpoint=on_failpoint)
    running = RunningParticipant(reactions, database, relay, fault_injector or NoFaults(), on_failpoint)
    relaying = asyncio.create_task(relay.run())
    try:
        async with bus.consume(reactions.participant.name, running.handle_event):
            try:
                yield running
            finally:
                running.stop_accepting()
    finally:
        relay.stop()
        await relaying
