"""A bus as small as can be: what a broker promises, in one process, with a fault or two on request."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from choreography import (
    BusUnavailableError,
    DeadLetterError,
    Event,
    Handler,
    Topology,
    UnroutableError,
)


class SmallBus:
    """Keeps the promises of `choreography.Bus`; every event is delivered `copies` times."""

    def __init__(self, *, copies: int = 1) -> None:
        self.copies = copies
        self.is_down = False
        self.unroutable: set[str] = set()
        self.published: list[Event] = []
        self.dead: list[str] = []
        self.most_at_once: dict[str, int] = defaultdict(int)
        self._at_once: dict[str, int] = defaultdict(int)
        self._topology = Topology(queues={})
        self._queues: dict[str, asyncio.Queue[Event]] = defaultdict(asyncio.Queue)
        self._open = 0
        self._closed: set[str] = set()

    async def declare(self, topology: Topology) -> None:
        self._topology = topology

    async def publish(self, event: Event) -> None:
        self._at_once[event.saga_id] += 1
        self.most_at_once[event.saga_id] = max(self.most_at_once[event.saga_id], self._at_once[event.saga_id])
        await asyncio.sleep(0)
        self._at_once[event.saga_id] -= 1
        if self.is_down:
            raise BusUnavailableError("the broker is down")
        if event.type in self.unroutable:
            raise UnroutableError(f"nobody hears {event.type!r}")
        self.published.append(event)
        for name, heard in self._topology.queues.items():
            for _ in range(self.copies * ((event.source, event.type) in heard)):
                self._open += 1
                self._queues[name].put_nowait(event)

    @asynccontextmanager
    async def consume(self, participant: str, handle: Handler) -> AsyncGenerator[None, None]:
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
        """Whether everything that was published is handled."""
        return self._open == 0

    async def _consume(self, participant: str, handle: Handler, running: "set[asyncio.Task[None]]") -> None:
        self._closed.discard(participant)
        sagas: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        while True:
            event = await self._queues[participant].get()
            running.add(asyncio.create_task(self._deliver(participant, sagas[event.saga_id], event, handle)))

    async def _deliver(self, participant: str, lock: asyncio.Lock, event: Event, handle: Handler) -> None:
        async with lock:
            while participant not in self._closed:
                try:
                    await handle(event)
                except DeadLetterError as error:
                    self.dead.append(str(error))
                except Exception:  # noqa: BLE001 - as a broker does
                    await asyncio.sleep(0.001)
                    continue
                self._open -= 1
                return
        self._queues[participant].put_nowait(event)


def types(events: Sequence[Event]) -> list[str]:
    return [event.type for event in events]
