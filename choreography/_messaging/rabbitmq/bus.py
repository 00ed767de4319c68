"""The bus on RabbitMQ."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from types import TracebackType
from typing import Self
from uuid import uuid4

from ..._declarations.event import Event
from ..._declarations.names import exchange_name, queue_name, queue_owner
from ..._declarations.topology import Topology
from ..._errors import BusUnavailableError, TopologyError, UnroutableError
from ..bus import EventHandler
from ..cloudevents import BrokerMessage, encode
from ..dead_letter import DeadLetter
from .broker_topology import DEAD, build_broker_topology
from .broker_url import BrokerUrl
from .connection import ManagedConnection
from .consumer import Consumer
from .options import RabbitOptions
from .publisher import Publisher

_log = logging.getLogger(__name__)

_PARTICIPANT, _REASON = "saga-dead-participant", "saga-dead-reason"
_BROKER_HEADERS = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired-count")


class RabbitBus:
    """A `Bus` on RabbitMQ while the context is open.

    Each source has a topic exchange, and each participant has a quorum queue. The bus keeps two connections:
    under a memory alarm RabbitMQ blocks the publishing connection, and the consuming connection continues. Of
    several processes that consume a queue, the first is active, and the next takes over when the first ends.
    An unreachable broker is retried in the background.

    RabbitMQ 3.10 stores new queues on disk some seconds late: a queue created shortly before a crash of the
    broker exists afterwards but is stuck, and has to be deleted and declared again.

    Args:
        url: `amqp://user:password@host:port/vhost`, or `amqps:` with TLS; the credentials are never logged.
        options: Timeouts, limits and intervals.

    Raises:
        ValueError: The URL has another form.
    """

    def __init__(self, url: str, *, options: RabbitOptions | None = None) -> None:
        self._url, self._options = BrokerUrl(url), options or RabbitOptions()
        timeout = self._options.broker_timeout
        self._publishing = ManagedConnection(self._url, "publishing", timeout)
        self._consuming = ManagedConnection(self._url, "consuming", timeout)
        self._publisher = Publisher(self._publishing)
        self._topology: Topology | None = None
        self._running_publishes: dict[str, asyncio.Task[None]] = {}
        self._open = AsyncExitStack()

    def __repr__(self) -> str:
        return f"<RabbitBus: {self._url!r}>"

    async def __aenter__(self) -> Self:
        if self._url.is_unencrypted:
            _log.warning("%r is on another host, and the connection is not encrypted: use amqps", self)
        await self._open.enter_async_context(self._publishing)
        await self._open.enter_async_context(self._consuming)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            while self._running_publishes:
                await asyncio.wait(self._running_publishes.values())
        finally:
            await self._open.aclose()

    async def declare(self, topology: Topology) -> None:
        """See `Bus.declare`; entities of the broker outside of the topology stay unchanged."""
        topology.check_names()
        await self._publishing.declare(build_broker_topology(topology, self._options.delivery_limit))
        self._topology = self._topology.merge(topology) if self._topology else topology

    async def publish(self, event: Event) -> None:
        """See `Bus.publish`; a cancelled call leaves the running publish to finish in the background."""
        message = encode(event)
        if self._topology is None:
            raise UnroutableError(f"event {event.type!r} has no route: declare a topology before publishing")
        queues = frozenset(queue_name(name) for name in self._topology.find_subscribers(event))
        await self._publish(message, exchange_name(event.source), event.type, queues)

    @asynccontextmanager
    async def consume(self, participant: str, handle: EventHandler) -> AsyncGenerator[None, None]:
        """See `Bus.consume`."""
        if self._topology is None or participant not in self._topology.queues:
            raise TopologyError(f"participant {participant!r} has no queue: declare the topology first")

        async def publish_dead_letter(message: BrokerMessage, reason: str) -> None:
            await self._publish_dead_letter(participant, message, reason)

        queue = queue_name(participant)
        async with Consumer(self._consuming, queue, handle, publish_dead_letter, self._options):
            yield

    async def read_dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """Reads the first dead letters of all participants, and leaves the dead letters in place.

        Raises:
            BusUnavailableError: The broker is unreachable.
        """
        timeout = self._options.broker_timeout
        async with ManagedConnection(self._url, "looking at dead letters", timeout) as connection:
            return [_read_dead_letter(message) for message in await connection.peek(DEAD, limit)]

    async def _publish_dead_letter(self, participant: str, message: BrokerMessage, reason: str) -> None:
        # An old `x-death` header would look like a cycle of dead-lettering to the broker.
        headers = {
            name: _simplify(value)
            for name, value in message.headers.items()
            if not name.startswith(_BROKER_HEADERS)
        }
        dead = replace(message, headers={**headers, _PARTICIPANT: participant, _REASON: reason})
        await self._publish(dead, DEAD, "", frozenset({DEAD}))

    async def _publish(self, message: BrokerMessage, exchange: str, key: str, queues: frozenset[str]) -> None:
        if not message.message_id:
            message = replace(message, message_id=str(uuid4()))
        assert message.message_id is not None
        while running := self._running_publishes.get(message.message_id):
            await asyncio.wait([running])
        # A separate task: the same id must not be published again before the broker's answer or the timeout.
        task = asyncio.create_task(self._publish_in_time(message, exchange, key, queues))
        self._running_publishes[message.message_id] = task
        task.add_done_callback(self._forget(message.message_id))
        await asyncio.shield(task)

    async def _publish_in_time(
        self, message: BrokerMessage, exchange: str, key: str, queues: frozenset[str]
    ) -> None:
        try:
            async with asyncio.timeout(self._options.broker_timeout.total_seconds()):
                await self._publisher.publish(message, exchange=exchange, routing_key=key, queues=queues)
        except TimeoutError as error:
            seconds = self._options.broker_timeout.total_seconds()
            raise BusUnavailableError(
                f"{self._publishing!r} did not confirm {message.type!r} within {seconds:g} s"
            ) from error

    def _forget(self, message_id: str) -> Callable[[asyncio.Task[None]], None]:
        def forget(task: asyncio.Task[None]) -> None:
            del self._running_publishes[message_id]
            # Reads the exception: asyncio warns of an unread one when the caller was cancelled.
            if not task.cancelled():
                task.exception()

        return forget


def _simplify(value: object) -> object:
    """Turns a header of a rare type into text: aio-pika cannot send back every type as received."""
    return value if isinstance(value, str | bool | float | None) else ascii(value)


def _read_dead_letter(message: BrokerMessage) -> DeadLetter:
    participant, reason = message.headers.get(_PARTICIPANT), message.headers.get(_REASON)
    if not isinstance(participant, str) or not isinstance(reason, str):
        participant, reason = _describe_broker_decision(message.headers)
    return DeadLetter.from_message(message, participant=participant, reason=reason)


def _describe_broker_decision(headers: Mapping[str, object]) -> tuple[str, str]:
    """Describes a dead letter of the broker: no consumer answered the deliveries."""
    queue = headers.get("x-first-death-queue")
    cause = headers.get("x-first-death-reason")
    participant = queue_owner(queue) if isinstance(queue, str) else "unknown"
    return participant, f"the broker gave up ({cause}): too many deliveries without an answer"
