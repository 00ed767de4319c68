"""A connection to RabbitMQ that reconnects after each loss, and short questions to the broker.

The package uses aio-pika's plain connections. Robust connections redeclare changed entities, restart
consumers without notice, and hide a lost connection.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Self

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import ChannelClosed, ChannelNotFoundEntity

from ..._backoff import Backoff
from ..._errors import BusUnavailableError, TopologyError
from ..cloudevents import BrokerMessage
from ..task_cancellation import cancel_and_wait
from .broker_topology import BrokerTopology
from .broker_url import BrokerUrl
from .error_translation import close_quietly, describe_error, translate_errors
from .message_conversion import from_amqp

_log = logging.getLogger(__name__)

ANSWER_TIMEOUT = 10.0
"""Seconds to wait for the broker's answer to one request, such as opening a channel."""
RECONNECT_BACKOFF = Backoff(first=timedelta(seconds=0.2), longest=timedelta(seconds=5))
"""The pauses between attempts to reach the broker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """The number of messages ready for delivery in a queue, and the number of consumers."""

    ready: int
    consumers: int


class ManagedConnection:
    """A connection, re-established after each loss while the context is open.

    Args:
        url: The URL of the broker.
        purpose: Names the connection in log lines and in the broker's console: `publishing`.
        timeout: The timeout of a question to the broker, including the wait for a connection.
    """

    def __init__(self, url: BrokerUrl, purpose: str, timeout: timedelta) -> None:
        self.url, self.purpose, self._timeout = url, purpose, timeout.total_seconds()
        self._connection: AbstractConnection | None = None
        self._connected, self._lost = asyncio.Event(), asyncio.Event()
        self._problem = "not connected yet"
        self._connecting: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        _silence("aiormq")
        self._connecting = asyncio.create_task(self._stay_connected())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._connecting is not None:
            await cancel_and_wait(self._connecting)
        while self._closing:
            await asyncio.wait(self._closing)

    def __repr__(self) -> str:
        return f"{self.url!r} ({self._problem})" if self._connection is None else repr(self.url)

    async def wait_until_connected(self) -> AbstractConnection:
        """Waits for the connection, without a timeout."""
        while self._connection is None:
            await self._connected.wait()
        return self._connection

    def reconnect(self) -> None:
        """Abandons the current connection and establishes another connection."""
        self._connection = None
        self._connected.clear()
        self._lost.set()

    @asynccontextmanager
    async def open_channel(self) -> AsyncGenerator[AbstractChannel, None]:
        """Opens a channel for a few questions; an error on this channel affects no other channel.

        Raises:
            BusUnavailableError: The channel broke, or the broker did not answer in time.
        """
        async with translate_errors(self), asyncio.timeout(self._timeout):
            connection = await self.wait_until_connected()
            channel = connection.channel(publisher_confirms=False)
            try:
                await channel.initialize()
                yield channel
            finally:
                await close_quietly(channel)

    async def declare(self, wanted: BrokerTopology) -> None:
        """Declares exchanges, queues and bindings, and compares existing entities.

        Raises:
            BusUnavailableError: The broker is unreachable.
            TopologyError: An exchange or a queue exists with other arguments, or a declaration is forbidden.
        """
        async with self.open_channel() as channel:
            try:
                for name, kind in wanted.exchanges.items():
                    await channel.declare_exchange(name, kind, durable=True)
                for name, arguments in wanted.queues.items():
                    await channel.declare_queue(name, durable=True, arguments=dict(arguments))
                for queue, exchange, key in sorted(wanted.bindings):
                    await (await channel.get_queue(queue, ensure=False)).bind(exchange, key)
            except ChannelClosed as error:
                raise TopologyError(f"{self.url!r} refuses a declaration: {error}") from error

    async def has_exchange(self, name: str) -> bool:
        """Asks whether an exchange exists."""
        async with self.open_channel() as channel:
            return await _exists(channel.get_exchange(name, ensure=True))

    async def has_queue(self, name: str) -> bool:
        """Asks whether a queue exists."""
        return await self.read_queue_state(name) is not None

    async def read_queue_state(self, name: str) -> QueueState | None:
        """Reads the state of a queue; `None` for a missing queue."""
        async with self.open_channel() as channel:
            try:
                queue = await channel.declare_queue(name, passive=True)
            except ChannelNotFoundEntity:
                return None
            found = queue.declaration_result
            return QueueState(ready=found.message_count or 0, consumers=found.consumer_count or 0)

    async def peek(self, queue: str, limit: int) -> list[BrokerMessage]:
        """Reads the first messages of a queue, and leaves the messages in place.

        Use a separate connection: a dead letter may break connections.
        """
        found: list[BrokerMessage] = []
        # When the channel closes, the broker requeues all unacknowledged messages at their old positions.
        async with self.open_channel() as channel:
            waiting = await channel.declare_queue(queue, passive=True)
            while len(found) < limit and (message := await waiting.get(fail=False)) is not None:
                found.append(from_amqp(message))
        return found

    async def _stay_connected(self) -> None:
        failures = 0
        while True:
            try:
                async with translate_errors(self.url), asyncio.timeout(ANSWER_TIMEOUT):
                    connection = await aio_pika.connect(
                        self.url.value, client_properties={"connection_name": f"sagas {self.purpose}"}
                    )
            except BusUnavailableError as error:
                failures += 1
                self._problem = describe_error(error.__cause__)
                # Logged at failures 1, 2, 4, 8 and so on.
                if failures & (failures - 1) == 0:
                    _log.warning("%s (connection for %s); reconnecting", error, self.purpose)
                await asyncio.sleep(RECONNECT_BACKOFF.interval_after(failures).total_seconds())
                continue
            failures = 0
            try:
                await self._wait_until_lost(connection)
            finally:
                self._close_in_background(connection)
            _log.warning("the connection to %r for %s was lost; reconnecting", self.url, self.purpose)
            # Other processes lost their connections at the same moment and should not all return at once.
            await asyncio.sleep(RECONNECT_BACKOFF.interval_after(1).total_seconds())

    async def _wait_until_lost(self, connection: AbstractConnection) -> None:
        self._lost = lost = asyncio.Event()
        connection.close_callbacks.add(set_on_close(lost))
        self._connection = connection
        self._connected.set()
        _log.info("connected to %r for %s", self.url, self.purpose)
        try:
            await lost.wait()
        finally:
            self._connection, self._problem = None, "the connection was lost"
            self._connected.clear()

    def _close_in_background(self, connection: AbstractConnection) -> None:
        task = asyncio.create_task(close_quietly(connection))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def set_on_close(event: asyncio.Event) -> Callable[[object, BaseException | None], None]:
    """Makes a close callback of aio-pika for setting an event."""
    return lambda _sender, _error: event.set()


async def _exists(question: Awaitable[object]) -> bool:
    try:
        await question
    except ChannelNotFoundEntity:
        return False
    return True


def _silence(library: str) -> None:
    """Hides the tracebacks of a library unless a level is configured; this module logs the errors."""
    logger = logging.getLogger(library)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL)
