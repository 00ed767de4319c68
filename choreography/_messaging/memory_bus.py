"""A bus in memory: the promises of a broker while the process lives, for tests and a first look."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import count

from .._declarations.event import Event
from .._declarations.names import check_names, merge
from .._errors import DeadLetterError, TopologyError, UnroutableError
from .bus import Handler, Topology
from .cloudevents import Message, decode, encode
from .dead_letter import DeadLetter
from .delivery import Failed, Handled, Refused, attempt, failed_too_often
from .keyed_executor import Lanes

_log = logging.getLogger(__name__)


class MemoryBus:
    """A `Bus` inside this process: nothing of it survives the process, and no other process sees it.

    The same handlers in the same order give the same deliveries in the same order. Events travel through
    the same bytes as on RabbitMQ, so what cannot travel there cannot travel here. An event whose handler
    fails comes again at once, behind those of its saga that wait already.

    Args:
        delivery_limit: How often an event is delivered again before it is a dead letter.
        handler_deadline: How long a handler may take before it is cancelled.
    """

    def __init__(
        self, *, delivery_limit: int = 20, handler_deadline: timedelta = timedelta(seconds=60)
    ) -> None:
        if delivery_limit < 0 or handler_deadline <= timedelta():
            raise ValueError("delivery_limit must not be negative, and handler_deadline must be positive")
        self._delivery_limit, self._handler_deadline = delivery_limit, handler_deadline
        self._topology: Topology | None = None
        self._queues: dict[str, _Queue] = {}
        self._dead_letters: list[DeadLetter] = []
        _log.warning("events are kept in memory only: when this process ends, they are lost")

    @property
    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """What could not be handled, in the order in which it was put aside."""
        return tuple(self._dead_letters)

    async def declare(self, topology: Topology) -> None:
        """See `Bus.declare`."""
        check_names(topology)
        self._topology = merge(self._topology, topology)
        for participant in topology.queues:
            self._queues.setdefault(participant, _Queue())

    async def publish(self, event: Event) -> None:
        """See `Bus.publish`."""
        message = encode(event)
        if self._topology is None:
            raise UnroutableError("no topology was declared, so nobody can hear anything")
        hearing = self._topology.who_hears(event)
        if missing := sorted(hearing - self._queues.keys()):
            raise UnroutableError(f"event {event.type!r} is heard by {missing[0]!r}, which has no queue")
        for participant in sorted(hearing):
            self._queues[participant].put(message)
        # As with a broker, others get their turn before the publisher goes on.
        await asyncio.sleep(0)

    @asynccontextmanager
    async def consume(self, participant: str, handle: Handler) -> AsyncGenerator[None, None]:
        """See `Bus.consume`."""
        if participant not in self._queues:
            raise TopologyError(f"participant {participant!r} has no queue: declare the topology first")
        queue = self._queues[participant]

        async def run(delivery: _Delivery) -> None:
            await self._handle(participant, queue, delivery, handle)

        lanes = Lanes(run)
        queue.add(lanes)
        try:
            yield
        finally:
            await lanes.close()
            queue.remove(lanes)

    async def _handle(
        self, participant: str, queue: "_Queue", delivery: "_Delivery", handle: Handler
    ) -> None:
        if isinstance(delivery.content, DeadLetterError):
            outcome: Handled | Refused | Failed = Refused(str(delivery.content))
        else:
            outcome = await attempt(handle, delivery.content, self._handler_deadline)
        match outcome:
            case Handled():
                queue.forget(delivery)
            case Refused(reason):
                self._put_aside(participant, delivery, reason)
                queue.forget(delivery)
            case Failed(reason):
                delivery.attempts += 1
                if delivery.attempts <= self._delivery_limit:
                    queue.deliver(delivery)
                    return
                self._put_aside(participant, delivery, failed_too_often(delivery.attempts, reason))
                queue.forget(delivery)

    def _put_aside(self, participant: str, delivery: "_Delivery", reason: str) -> None:
        message = delivery.message
        _log.error("an event for %r is a dead letter: %s", participant, reason)
        self._dead_letters.append(
            DeadLetter(
                participant=participant,
                reason=reason,
                body=message.body,
                content_type=message.content_type,
                message_id=message.message_id,
                headers=message.headers,
            )
        )


class _Delivery:
    """A message in a queue, read once, and how often its handler has failed."""

    def __init__(self, number: int, message: Message) -> None:
        self.number, self.message, self.attempts = number, message, 0
        self.content: Event | DeadLetterError
        try:
            self.content = decode(message.body, message.content_type)
            self.lane = self.content.saga_id
        except DeadLetterError as error:
            self.content = error
            self.lane = f"\0{number}"


class _Queue:
    """What waits for a participant; of those that consume, the first gets it all until it goes."""

    def __init__(self) -> None:
        self._numbers = count()
        self._kept: dict[int, _Delivery] = {}
        self._consumers: list[Lanes[_Delivery]] = []

    def put(self, message: Message) -> None:
        delivery = _Delivery(next(self._numbers), message)
        self._kept[delivery.number] = delivery
        self.deliver(delivery)

    def deliver(self, delivery: _Delivery) -> None:
        if self._consumers:
            self._consumers[0].put(delivery.lane, delivery)

    def forget(self, delivery: _Delivery) -> None:
        del self._kept[delivery.number]

    def add(self, lanes: Lanes[_Delivery]) -> None:
        self._consumers.append(lanes)
        if self._consumers[0] is lanes:
            self._deliver_all()

    def remove(self, lanes: Lanes[_Delivery]) -> None:
        was_active = self._consumers[0] is lanes
        self._consumers.remove(lanes)
        if was_active:
            self._deliver_all()

    def _deliver_all(self) -> None:
        for delivery in self._kept.values():
            self.deliver(delivery)
