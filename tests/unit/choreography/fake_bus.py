"""A minimal bus in one process, with faults on request."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from choreography import BusUnavailableError, DeadLetterError, Event, Topology, UnroutableError
from choreography._messaging.bus import EventHandler


class FakeBus:
    """A `choreography.Bus` with `copies` deliveries of every event."""

    def __init__(self, *, copies: int = 1) -> None:
        self.copies = copies
        self.is_down = False
        self.unroutable: set[str] = set()
        self.published: list[Event] = []
        self.dead_letters: list[str] = []
        self.most_concurrent: dict[str, int] = defaultdict(int)
        self._concurrent: dict[str, int] = defaultdict(int)
        self._topology = Topology(queues={})
        self._queues: dict[str, asyncio.Queue[Event]] = defaultdict(asyncio.Queue)
        self._unhandled = 0
        self._closed: set[str] = set()

    async def declare(self, topology: Topology) -> None:
        self._topology = topology

    async def publish(self, event: Event) -> None:
        saga_id = event.saga_id
        self._concurrent[saga_id] += 1
        self.most_concurrent[saga_id] = max(self.most_concurrent[saga_id], self._concurrent[saga_id])
        await asyncio.sleep(0)
        self._concurrent[saga_id] -= 1
        if self.is_down:
            raise BusUnavailableError("the broker is down")
        if event.type in self.unroutable:
            raise UnroutableError(f"no queue for {event.type!r}")
        self.published.append(event)
        for participant in sorted(self._topology.find_subscribers(event)):
            for _ in range(self.copies):
                self._unhandled += 1
                self._queues[participant].put_nowait(event)

    @asynccontextmanager
    async def consume(self, participant: str, handle: EventHandler) -> AsyncGenerator[None, None]:
        running: set[asyncio.Task[None]] = set()
        consumer = asyncio.create_task(self._consume(participant, handle, running))
        try:
            yield
        finally:
            self._closed.add(participant)
            consumer.cancel()
            await asyncio.wait([consumer, *running])

    @property
    def is_quiet(self) -> bool:
        """Whether every published event is handled."""
        return self._unhandled == 0

    async def _consume(
        self, participant: str, handle: EventHandler, running: "set[asyncio.Task[None]]"
    ) -> None:
        self._closed.discard(participant)
        sagas: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        while True:
            event = await self._queues[participant].get()
            running.add(asyncio.create_task(self._deliver(participant, sagas[event.saga_id], event, handle)))

    async def _deliver(
        self, participant: str, lock: asyncio.Lock, event: Event, handle: EventHandler
    ) -> None:
        async with lock:
            while participant not in self._closed:
                try:
                    await handle(event)
                except DeadLetterError as error:
                    self.dead_letters.append(str(error))
                except Exception:  # noqa: BLE001 - as a broker does
                    await asyncio.sleep(0.001)
                    continue
                self._unhandled -= 1
                return
        self._queues[participant].put_nowait(event)


def types(events: Sequence[Event]) -> list[str]:
    return [event.type for event in events]
