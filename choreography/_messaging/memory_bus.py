"""A bus in memory with the guarantees of a broker while the process lives, for tests and first steps."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import count

from .._declarations.event import Event
from .._declarations.topology import Topology
from .._errors import TopologyError, UnroutableError
from .bus import EventHandler
from .cloudevents import BrokerMessage, encode
from .dead_letter import DeadLetter
from .delivery import (
    PermanentFailure,
    Success,
    TransientFailure,
    attempt_delivery,
    decode_message,
    describe_exhaustion,
)
from .keyed_executor import KeyedExecutor

_log = logging.getLogger(__name__)


class MemoryBus:
    """A `Bus` inside a process: events do not survive the process and do not reach other processes.

    Deliveries are deterministic: the same handlers in the same order see the same sequence. Events are
    encoded as for RabbitMQ, so an event that RabbitMQ would refuse is refused here too. When a handler fails,
    its event is redelivered at once, behind the waiting events of the saga.

    Args:
        delivery_limit: Redeliveries of an event before the event becomes a dead letter.
        handler_timeout: The time after which a running handler is cancelled.
    """

    def __init__(
        self, *, delivery_limit: int = 20, handler_timeout: timedelta = timedelta(seconds=60)
    ) -> None:
        if delivery_limit < 0 or handler_timeout <= timedelta():
            raise ValueError("delivery_limit must not be negative, and handler_timeout must be positive")
        self._delivery_limit, self._handler_timeout = delivery_limit, handler_timeout
        self._topology: Topology | None = None
        self._queues: dict[str, _Queue] = {}
        self._dead_letters: list[DeadLetter] = []
        _log.warning("the MemoryBus keeps events in memory only: they are lost when this process ends")

    @property
    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """The dead letters in the order of their failures."""
        return tuple(self._dead_letters)

    async def declare(self, topology: Topology) -> None:
        """See `Bus.declare`."""
        topology.check_names()
        self._topology = self._topology.merge(topology) if self._topology else topology
        for participant in topology.queues:
            self._queues.setdefault(participant, _Queue())

    async def publish(self, event: Event) -> None:
        """See `Bus.publish`."""
        message = encode(event)
        if self._topology is None:
            raise UnroutableError(f"event {event.type!r} has no route: declare a topology before publishing")
        subscribers = self._topology.find_subscribers(event)
        if missing := sorted(subscribers - self._queues.keys()):
            raise UnroutableError(
                f"event {event.type!r} has no route: participant {missing[0]!r} has no queue; "
                "declare the topology"
            )
        for participant in sorted(subscribers):
            self._queues[participant].put(message)
        # As with a broker, consumers get their turn before the publisher continues.
        await asyncio.sleep(0)

    @asynccontextmanager
    async def consume(self, participant: str, handle: EventHandler) -> AsyncGenerator[None, None]:
        """See `Bus.consume`."""
        if participant not in self._queues:
            raise TopologyError(f"participant {participant!r} has no queue: declare the topology first")
        queue = self._queues[participant]

        async def run(delivery: _Delivery) -> None:
            await self._deliver(participant, queue, delivery, handle)

        executor = KeyedExecutor(run)
        queue.add_consumer(executor)
        try:
            yield
        finally:
            await executor.close()
            queue.remove_consumer(executor)

    async def _deliver(
        self, participant: str, queue: "_Queue", delivery: "_Delivery", handle: EventHandler
    ) -> None:
        match await attempt_delivery(delivery.content, handle, self._handler_timeout):
            case Success():
                queue.remove(delivery)
            case PermanentFailure(reason):
                self._add_dead_letter(participant, delivery, reason)
                queue.remove(delivery)
            case TransientFailure(reason):
                delivery.failures += 1
                if delivery.failures <= self._delivery_limit:
                    queue.deliver(delivery)
                    return
                self._add_dead_letter(participant, delivery, describe_exhaustion(delivery.failures, reason))
                queue.remove(delivery)

    def _add_dead_letter(self, participant: str, delivery: "_Delivery", reason: str) -> None:
        _log.error("an event in the queue of participant %r became a dead letter: %s", participant, reason)
        self._dead_letters.append(
            DeadLetter.from_message(delivery.message, participant=participant, reason=reason)
        )


class _Delivery:
    """A message in a queue, decoded once, with the number of failed deliveries."""

    def __init__(self, number: int, message: BrokerMessage) -> None:
        decoded = decode_message(message, number)
        self.number, self.message, self.failures = number, message, 0
        self.content, self.key = decoded.content, decoded.key


class _Queue:
    """The messages for a participant; of several consumers the first receives all messages until removed."""

    def __init__(self) -> None:
        self._numbers = count()
        self._messages: dict[int, _Delivery] = {}
        self._consumers: list[KeyedExecutor[_Delivery]] = []

    def put(self, message: BrokerMessage) -> None:
        delivery = _Delivery(next(self._numbers), message)
        self._messages[delivery.number] = delivery
        self.deliver(delivery)

    def deliver(self, delivery: _Delivery) -> None:
        if self._consumers:
            self._consumers[0].submit(delivery.key, delivery)

    def remove(self, delivery: _Delivery) -> None:
        del self._messages[delivery.number]

    def add_consumer(self, executor: KeyedExecutor[_Delivery]) -> None:
        self._consumers.append(executor)
        if self._consumers[0] is executor:
            self._deliver_all()

    def remove_consumer(self, executor: KeyedExecutor[_Delivery]) -> None:
        was_active = self._consumers[0] is executor
        self._consumers.remove(executor)
        if was_active:
            self._deliver_all()

    def _deliver_all(self) -> None:
        for delivery in self._messages.values():
            self.deliver(delivery)
