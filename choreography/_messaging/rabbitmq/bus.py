"""The promises of a bus, kept on RabbitMQ."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from types import TracebackType
from typing import Self
from uuid import uuid4

from ..._declarations.event import Event
from ..._declarations.names import check_names, merge
from ..._errors import BusUnavailableError, TopologyError, UnroutableError
from ..bus import Handler, Topology
from ..cloudevents import Message, encode
from ..dead_letter import DeadLetter
from .connection import Address, Link, Outlet
from .consumer import Consumer
from .layout import DEAD, exchange_of, layout, participant_of, queue_of
from .options import RabbitOptions

_log = logging.getLogger(__name__)

_PARTICIPANT, _REASON = "saga-dead-participant", "saga-dead-reason"
_OF_THE_BROKER = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired-count")


class RabbitBus:
    """A `Bus` on RabbitMQ, for as long as the context is open.

    Each source has a topic exchange, each participant a quorum queue. Two connections are kept up, one to
    publish and one to consume, so that a broker short of memory, which stops those who publish, does not
    stop those who would relieve it. Of several processes that consume the same queue one is active, and
    another one takes over when it goes. A broker that is not there yet is waited for in the background.

    RabbitMQ 3.10 writes down which queues it has some seconds after they were made: if it crashes before, a
    queue of that moment is there again, but stuck, and has to be deleted and declared again.

    Args:
        url: `amqp://user:password@host:port/vhost`, or `amqps:` with TLS; it is never shown.
        options: How much, how long, how often.

    Raises:
        ValueError: The URL is none.
    """

    def __init__(self, url: str, *, options: RabbitOptions | None = None) -> None:
        self._address, self._options = Address(url), options or RabbitOptions()
        self._publishing = Link(self._address, "publishing", self._options.patience)
        self._consuming = Link(self._address, "consuming", self._options.patience)
        self._outlet = Outlet(self._publishing)
        self._topology: Topology | None = None
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._open = AsyncExitStack()

    def __repr__(self) -> str:
        return f"<RabbitBus: {self._address!r}>"

    async def __aenter__(self) -> Self:
        if self._address.is_in_clear:
            _log.warning("%r is not on this machine, and everything goes there in clear; use amqps", self)
        await self._open.enter_async_context(self._publishing)
        await self._open.enter_async_context(self._consuming)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            while self._under_way:
                await asyncio.wait(self._under_way.values())
        finally:
            await self._open.aclose()

    async def declare(self, topology: Topology) -> None:
        """See `Bus.declare`; what the broker has and the topology does not say is left alone."""
        check_names(topology)
        await self._publishing.declare(layout(topology, self._options.delivery_limit))
        self._topology = merge(self._topology, topology)

    async def publish(self, event: Event) -> None:
        """See `Bus.publish`; what was begun goes on when the caller is cancelled."""
        message = encode(event)
        if self._topology is None:
            raise UnroutableError("no topology was declared, so nobody can hear anything")
        queues = frozenset(queue_of(name) for name in self._topology.who_hears(event))
        await self._send(message, exchange_of(event.source), event.type, queues)

    @asynccontextmanager
    async def consume(self, participant: str, handle: Handler) -> AsyncGenerator[None, None]:
        """See `Bus.consume`."""
        if self._topology is None or participant not in self._topology.queues:
            raise TopologyError(f"participant {participant!r} has no queue: declare the topology first")

        async def put_aside(message: Message, reason: str) -> None:
            await self._put_aside(participant, message, reason)

        consumer = Consumer(self._consuming, queue_of(participant), handle, put_aside, self._options)
        async with consumer:
            yield

    async def read_dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """Looks at the first dead letters of all participants, and leaves them where they are.

        Raises:
            BusUnavailableError: The broker cannot be reached.
        """
        async with Link(self._address, "looking at dead letters", self._options.patience) as link:
            return [_dead_letter(message) for message in await link.peek(DEAD, limit)]

    async def _put_aside(self, participant: str, message: Message, reason: str) -> None:
        # An old `x-death` among the headers makes the broker see a cycle where there is none.
        headers = {
            name: _plain(value)
            for name, value in message.headers.items()
            if not name.startswith(_OF_THE_BROKER)
        }
        dead = replace(message, headers={**headers, _PARTICIPANT: participant, _REASON: reason})
        await self._send(dead, DEAD, "", frozenset({DEAD}))

    async def _send(self, message: Message, exchange: str, key: str, queues: frozenset[str]) -> None:
        if not message.message_id:
            message = replace(message, message_id=str(uuid4()))
        assert message.message_id is not None
        while running := self._under_way.get(message.message_id):
            await asyncio.wait([running])
        # A task of its own: only when the broker has answered, or the time is up, may the same id go again.
        task = asyncio.create_task(self._send_in_time(message, exchange, key, queues))
        self._under_way[message.message_id] = task
        task.add_done_callback(self._forget(message.message_id))
        await asyncio.shield(task)

    async def _send_in_time(self, message: Message, exchange: str, key: str, queues: frozenset[str]) -> None:
        try:
            async with asyncio.timeout(self._options.patience.total_seconds()):
                await self._outlet.send(message, exchange=exchange, routing_key=key, queues=queues)
        except TimeoutError as error:
            seconds = self._options.patience.total_seconds()
            raise BusUnavailableError(
                f"{self._publishing!r} did not confirm {message.type!r} within {seconds:g} s"
            ) from error

    def _forget(self, message_id: str) -> Callable[[asyncio.Task[None]], None]:
        def forget(task: asyncio.Task[None]) -> None:
            del self._under_way[message_id]
            # Whoever waited for it may have been cancelled; then nobody wants to know how it ended.
            if not task.cancelled():
                task.exception()

        return forget


def _plain(value: object) -> object:
    """A header as it was; the rare kinds, which do not all go back the way they came, as text."""
    return value if isinstance(value, str | bool | float | None) else ascii(value)


def _dead_letter(message: Message) -> DeadLetter:
    participant, reason = message.headers.get(_PARTICIPANT), message.headers.get(_REASON)
    if not isinstance(participant, str) or not isinstance(reason, str):
        participant, reason = _died_with_its_process(message.headers)
    return DeadLetter(
        participant=participant,
        reason=reason,
        body=message.body,
        content_type=message.content_type,
        message_id=message.message_id,
        headers=message.headers,
    )


def _died_with_its_process(headers: Mapping[str, object]) -> tuple[str, str]:
    """What the broker says of a message that it put aside by itself."""
    queue = headers.get("x-first-death-queue")
    why = headers.get("x-first-death-reason")
    participant = participant_of(queue) if isinstance(queue, str) else "unknown"
    return participant, f"put aside by the broker ({why}): delivered too often, and never answered"
