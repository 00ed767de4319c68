"""RabbitMQ over AMQP 0-9-1: connections that come back by themselves, and what goes over them.

The only file that knows aio-pika. Its plain connections are used, not its robust ones: those declare
again what has changed, start consumers again without saying so, and give no way to know that one is gone.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Self, cast
from urllib.parse import urlsplit, urlunsplit

import aio_pika
from aio_pika.abc import (
    AbstractChannel,
    AbstractConnection,
    AbstractIncomingMessage,
    AbstractQueue,
    HeadersType,
)
from aio_pika.exceptions import ChannelClosed, ChannelNotFoundEntity, PublishError

from ..._backoff import pause_after
from ..._errors import BusUnavailableError, TopologyError, UnroutableError
from ..cloudevents import Message
from ..task_cancellation import end
from .layout import Layout

_log = logging.getLogger(__name__)

ANSWER_PATIENCE = 10.0
"""Seconds that the broker has for a question such as opening a channel."""
CLOSE_PATIENCE = 5.0
SEEN_FOR = 30.0
"""Seconds for which a queue or an exchange that was there is taken to be still there."""
HEARTBEAT = 10
"""Seconds; a connection that is silent for about three times as long is given up."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=0.2), timedelta(seconds=5)
LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class Address:
    """Where the broker is, and how to log in; shown without who logs in.

    Args:
        url: `amqp://user:password@host:port/vhost`, or `amqps:` with TLS.

    Raises:
        ValueError: It is no such URL.
    """

    def __init__(self, url: str) -> None:
        # Nothing of what was given is in the message: it may hold a password.
        problem = "the URL of RabbitMQ must look like amqp://user:password@host:port/vhost"
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError(problem) from None
        if parts.scheme not in {"amqp", "amqps"} or not parts.hostname:
            raise ValueError(problem)
        port = port or (5671 if parts.scheme == "amqps" else 5672)
        self._shown = f"{parts.hostname}:{port}{parts.path.rstrip('/')}"
        self.is_in_clear = parts.scheme == "amqp" and parts.hostname not in LOOPBACK
        query = parts.query if "heartbeat=" in parts.query else f"{parts.query}&heartbeat={HEARTBEAT}"
        self.url = urlunsplit(parts._replace(query=query.lstrip("&")))

    def __repr__(self) -> str:
        return f"RabbitMQ at {self._shown}"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """What the broker says of a queue."""

    ready: int
    consumers: int


class Link:
    """One connection that is kept up for as long as the context is open.

    Args:
        address: Of the broker.
        purpose: What people call it, here and in the broker's console: `publishing`.
        patience: How long a question to the broker may take, the wait for a connection included.
    """

    def __init__(self, address: Address, purpose: str, patience: timedelta) -> None:
        self.address, self.purpose, self._patience = address, purpose, patience.total_seconds()
        self._connection: AbstractConnection | None = None
        self._is_up, self._is_lost = asyncio.Event(), asyncio.Event()
        self._problem = "it was not tried yet"
        self._keeper: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        _quieten("aiormq")
        self._keeper = asyncio.create_task(self._keep())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._keeper is not None:
            await end(self._keeper)
        while self._closing:
            await asyncio.wait(self._closing)

    def __repr__(self) -> str:
        return f"{self.address!r} ({self._problem})" if self._connection is None else repr(self.address)

    async def connection(self) -> AbstractConnection:
        """The connection, as soon as there is one; waits for as long as it takes."""
        while self._connection is None:
            await self._is_up.wait()
        return self._connection

    def drop(self) -> None:
        """Gives the connection up, and makes another one."""
        self._connection = None
        self._is_up.clear()
        self._is_lost.set()

    @asynccontextmanager
    async def channel(self) -> AsyncGenerator[AbstractChannel, None]:
        """A channel for a few questions, whose end disturbs nobody else.

        Raises:
            BusUnavailableError: It broke, or did not answer in time.
        """
        async with translated(self), asyncio.timeout(self._patience):
            connection = await self.connection()
            channel = connection.channel(publisher_confirms=False)
            try:
                await channel.initialize()
                yield channel
            finally:
                await close(channel)

    async def declare(self, wanted: Layout) -> None:
        """Declares what is missing, and compares what is there.

        Raises:
            BusUnavailableError: The broker cannot be reached.
            TopologyError: Something exists in another shape, or may not be declared.
        """
        async with self.channel() as channel:
            try:
                for name, kind in wanted.exchanges.items():
                    await channel.declare_exchange(name, kind, durable=True)
                for name, arguments in wanted.queues.items():
                    await channel.declare_queue(name, durable=True, arguments=dict(arguments))
                for queue, exchange, key in sorted(wanted.bindings):
                    await (await channel.get_queue(queue, ensure=False)).bind(exchange, key)
            except ChannelClosed as error:
                raise TopologyError(f"{self.address!r} refuses a declaration: {error}") from error

    async def has_exchange(self, name: str) -> bool:
        """Whether an exchange exists."""
        async with self.channel() as channel:
            return await _exists(channel.get_exchange(name, ensure=True))

    async def has_queue(self, name: str) -> bool:
        """Whether a queue exists."""
        return await self.queue_state(name) is not None

    async def queue_state(self, name: str) -> QueueState | None:
        """How a queue is; `None` where it does not exist."""
        async with self.channel() as channel:
            try:
                queue = await channel.declare_queue(name, passive=True)
            except ChannelNotFoundEntity:
                return None
            found = queue.declaration_result
            return QueueState(ready=found.message_count or 0, consumers=found.consumer_count or 0)

    async def peek(self, queue: str, limit: int) -> list[Message]:
        """Looks at the first messages of a queue, and leaves them there.

        On a link of its own, as what is in there may be what breaks connections.
        """
        found: list[Message] = []
        # They are put back by the end of the channel, all at once and in their places.
        async with self.channel() as channel:
            waiting = await channel.declare_queue(queue, passive=True)
            while len(found) < limit and (message := await waiting.get(fail=False)) is not None:
                found.append(_received(message))
        return found

    async def _keep(self) -> None:
        attempts = 0
        while True:
            try:
                async with translated(self.address), asyncio.timeout(ANSWER_PATIENCE):
                    connection = await aio_pika.connect(
                        self.address.url, client_properties={"connection_name": f"sagas {self.purpose}"}
                    )
            except BusUnavailableError as error:
                attempts += 1
                self._problem = _described(error.__cause__)
                pause = pause_after(attempts, FIRST_PAUSE, LONGEST_PAUSE)
                # The first time, and ever more rarely then.
                if attempts & (attempts - 1) == 0:
                    _log.warning("%s (%s); trying again until it is there", error, self.purpose)
                await asyncio.sleep(pause)
                continue
            attempts = 0
            try:
                await self._serve(connection)
            finally:
                self._close_in_background(connection)
            _log.warning("the connection to %r for %s was lost; connecting again", self.address, self.purpose)
            # Whoever lost it with us should not all come back in the same moment.
            await asyncio.sleep(pause_after(1, FIRST_PAUSE, LONGEST_PAUSE))

    async def _serve(self, connection: AbstractConnection) -> None:
        self._is_lost = lost = asyncio.Event()
        connection.close_callbacks.add(_setting(lost))
        self._connection = connection
        self._is_up.set()
        _log.info("connected to %r for %s", self.address, self.purpose)
        try:
            await lost.wait()
        finally:
            self._connection, self._problem = None, "the connection was lost"
            self._is_up.clear()

    def _close_in_background(self, connection: AbstractConnection) -> None:
        task = asyncio.create_task(close(connection))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


class Outlet:
    """What is published, over one channel with confirms; one that breaks is replaced."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._channel: AbstractChannel | None = None
        self._seen: dict[str, float] = {}
        self._opening, self._looking = asyncio.Lock(), asyncio.Lock()

    async def send(
        self, message: Message, *, exchange: str, routing_key: str, queues: frozenset[str]
    ) -> None:
        """Publishes, and returns when the broker has confirmed it.

        A message id must not be under way twice: the library would take the return of one for the other's.

        Args:
            message: What is published.
            exchange: Where to; if it does not exist and no queue has to get the message, nobody does.
            routing_key: What the bindings are compared with.
            queues: Those that have to get it; each is looked for from time to time.

        Raises:
            BusUnavailableError: The broker did not confirm; it may have the message all the same.
            UnroutableError: One of the queues is missing, or it came back, as no queue took it.
        """
        async with translated(self._link):
            channel = await self._open()
            if not await self._is_there(exchange, self._link.has_exchange):
                if queues:
                    raise UnroutableError(f"there is no exchange {exchange!r}: declare the topology")
                return
            for queue in sorted(queues):
                if not await self._is_there(queue, self._link.has_queue):
                    raise UnroutableError(f"there is no queue {queue!r}: declare the topology")
            target = await channel.get_exchange(exchange, ensure=False)
            try:
                await target.publish(_to_send(message), routing_key, mandatory=bool(queues))
            except PublishError as error:
                raise UnroutableError(
                    f"no queue took {message.type!r} from exchange {exchange!r}: declare the topology"
                ) from error
            except asyncio.CancelledError:
                # It may still be confirmed or returned, and nobody may take that for its next attempt's.
                if channel is self._channel:
                    self._channel = None
                    self._link.drop()
                raise

    async def _open(self) -> AbstractChannel:
        async with self._opening:
            if self._channel is None or self._channel.is_closed:
                self._channel = None
                connection = await self._link.connection()
                # A memory alarm: what is sent now would wait unseen, and arrive long after its time is up.
                if connection.transport is not None:
                    await connection.transport.ready()
                channel = connection.channel(publisher_confirms=True, on_return_raises=True)
                await channel.initialize()
                self._channel = channel
                self._seen.clear()
            return self._channel

    async def _is_there(self, name: str, look: Callable[[str], Awaitable[bool]]) -> bool:
        """Looks for a queue or an exchange, unless it was there a moment ago.

        A publish to an exchange that is missing closes the channel under everybody who publishes; and
        the broker returns a message only if *no* queue takes it, not if one of several is missing.
        """
        now = asyncio.get_running_loop().time()
        if self._seen.get(name, 0.0) > now:
            return True
        async with self._looking:
            if self._seen.get(name, 0.0) <= now:
                if not await look(name):
                    return False
                self._seen[name] = now + SEEN_FOR
        return True


class Arrival:
    """A message that was delivered, and has to be answered."""

    def __init__(self, incoming: AbstractIncomingMessage, is_over: Callable[[], bool]) -> None:
        self._incoming, self._is_over = incoming, is_over
        self.message = _received(incoming)
        count = incoming.headers.get("x-delivery-count")
        self.earlier_deliveries = count if isinstance(count, int) and count > 0 else 0

    @property
    def is_stale(self) -> bool:
        """Whether its channel is gone: it cannot be answered, and is delivered again."""
        return self._is_over()

    async def acknowledge(self) -> None:
        """Says that it is done with; where that is lost, it comes again."""
        await self._answer(self._incoming.ack())

    async def put_back(self) -> None:
        """Lets the broker deliver it again, and count that; `nack` would not be counted from 4.3 on."""
        await self._answer(self._incoming.reject(requeue=True))

    async def _answer(self, answer: Coroutine[None, None, None]) -> None:
        try:
            async with translated("its channel"), asyncio.timeout(ANSWER_PATIENCE):
                await answer
        except BusUnavailableError as error:
            _log.info("message %s will be delivered again: %s", self.message.message_id, error)


@asynccontextmanager
async def consuming(
    link: Link, queue: str, prefetch: int, receive: Callable[[Arrival], None]
) -> AsyncGenerator[asyncio.Event, None]:
    """Consumes a queue; the event is set when that is over: a broken connection, or a broker's cancel.

    `receive` is called in the order in which the broker delivers, and must not wait: its task ends with the
    connection, so whatever takes time has to run somewhere else.

    Raises:
        BusUnavailableError: The broker cannot be reached.
        TopologyError: There is no such queue.
    """
    over = asyncio.Event()

    async def take(incoming: AbstractIncomingMessage) -> None:
        receive(Arrival(incoming, over.is_set))

    async with translated(link):
        connection = await link.connection()
        channel = connection.channel(publisher_confirms=False)
        try:
            async with asyncio.timeout(ANSWER_PATIENCE):
                await channel.initialize()
                channel.close_callbacks.add(_setting(over))
                below = await channel.get_underlay_channel()
                below.on_consumer_cancel_callbacks.add(lambda _: over.set())
                await channel.set_qos(prefetch)
                await (await _existing(channel, queue)).consume(take)
            yield over
        finally:
            over.set()
            await close(channel)


@asynccontextmanager
async def translated(where: object) -> AsyncGenerator[None, None]:
    """Turns whatever the library raises into our errors."""
    try:
        yield
    except (BusUnavailableError, UnroutableError, TopologyError):
        raise
    except asyncio.CancelledError as error:
        # Some who wait for a broken connection get a cancel from the library, which nobody asked for.
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise BusUnavailableError(f"{where!r} broke off") from error
    # It also raises a bare Exception, and RuntimeError where a channel is closed.
    except Exception as error:
        raise BusUnavailableError(f"{where!r} cannot be reached: {_described(error)}") from error


async def close(resource: AbstractConnection | AbstractChannel) -> None:
    """Closes what may be broken already, and waits no longer than is decent."""
    if isinstance(resource, AbstractChannel) and not resource.is_initialized:
        return
    with suppress(Exception):
        async with asyncio.timeout(CLOSE_PATIENCE):
            await resource.close()


async def _existing(channel: AbstractChannel, queue: str) -> AbstractQueue:
    try:
        return await channel.declare_queue(queue, passive=True)
    except ChannelNotFoundEntity as error:
        raise TopologyError(f"there is no queue {queue!r}: declare the topology") from error


async def _exists(question: Awaitable[object]) -> bool:
    try:
        await question
    except ChannelNotFoundEntity:
        return False
    return True


def _setting(event: asyncio.Event) -> Callable[[object, BaseException | None], None]:
    return lambda _sender, _error: event.set()


def _quieten(library: str) -> None:
    """Keeps a library from telling in tracebacks what is told here in a line, unless somebody wants that."""
    logger = logging.getLogger(library)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL)


def _to_send(message: Message) -> aio_pika.Message:
    return aio_pika.Message(
        message.body,
        # What came over AMQP can go over it again.
        headers=cast("HeadersType", dict(message.headers)),
        content_type=message.content_type,
        message_id=message.message_id,
        type=message.type,
        correlation_id=message.correlation_id,
        app_id=message.app_id,
        timestamp=message.timestamp,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )


def _received(incoming: AbstractIncomingMessage) -> Message:
    headers: Mapping[str, object] = incoming.headers
    return Message(
        body=incoming.body,
        content_type=incoming.content_type,
        headers=headers,
        message_id=incoming.message_id,
        type=incoming.type,
        correlation_id=incoming.correlation_id,
        app_id=incoming.app_id,
        timestamp=incoming.timestamp,
    )


def _described(error: BaseException | None) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer"
    text = " ".join(str(error).split())
    return f"{type(error).__name__} {text}".strip()[:300]
