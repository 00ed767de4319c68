"""A subscription to a queue: received messages, and their acknowledgement."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import ChannelNotFoundEntity

from ..._errors import BusUnavailableError, TopologyError
from .connection import ANSWER_TIMEOUT, ManagedConnection, set_on_close
from .error_translation import close_quietly, translate_errors
from .message_conversion import from_amqp

_log = logging.getLogger(__name__)


class IncomingMessage:
    """A delivered message, to be acknowledged or requeued."""

    def __init__(self, incoming: AbstractIncomingMessage, is_stale: Callable[[], bool]) -> None:
        self._incoming, self._is_stale = incoming, is_stale
        self.message = from_amqp(incoming)
        count = incoming.headers.get("x-delivery-count")
        self.previous_deliveries = count if isinstance(count, int) and count > 0 else 0

    @property
    def is_stale(self) -> bool:
        """Whether the channel is gone: an answer is impossible, and the broker redelivers the message."""
        return self._is_stale()

    async def acknowledge(self) -> None:
        """Removes the message from the queue; if the acknowledgement is lost, the message is redelivered."""
        await self._answer(self._incoming.ack())

    async def requeue(self) -> None:
        """Returns the message to the queue; the next delivery counts towards the delivery limit."""
        # From RabbitMQ 4.3 on, `nack` does not count.
        await self._answer(self._incoming.reject(requeue=True))

    async def _answer(self, answer: Coroutine[None, None, None]) -> None:
        try:
            async with translate_errors("the channel"), asyncio.timeout(ANSWER_TIMEOUT):
                await answer
        except BusUnavailableError as error:
            _log.info("message %s will be redelivered: %s", self.message.message_id, error)


@asynccontextmanager
async def subscribe(
    connection: ManagedConnection, queue: str, prefetch_count: int, receive: Callable[[IncomingMessage], None]
) -> AsyncGenerator[asyncio.Event, None]:
    """Subscribes to a queue; the yielded event is set when the subscription ends.

    A subscription ends with the connection, or when the broker cancels the consumer. `receive` is called in
    the order of delivery and must not block: the calling task ends with the connection.

    Raises:
        BusUnavailableError: The broker is unreachable.
        TopologyError: The queue does not exist.
    """
    ended = asyncio.Event()

    async def take(incoming: AbstractIncomingMessage) -> None:
        receive(IncomingMessage(incoming, ended.is_set))

    async with translate_errors(connection):
        channel = (await connection.wait_until_connected()).channel(publisher_confirms=False)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                await channel.initialize()
                channel.close_callbacks.add(set_on_close(ended))
                underlay = await channel.get_underlay_channel()
                underlay.on_consumer_cancel_callbacks.add(lambda _: ended.set())
                await channel.set_qos(prefetch_count)
                await (await _get_queue(channel, queue)).consume(take)
            yield ended
        finally:
            ended.set()
            await close_quietly(channel)


async def _get_queue(channel: AbstractChannel, queue: str) -> AbstractQueue:
    try:
        return await channel.declare_queue(queue, passive=True)
    except ChannelNotFoundEntity as error:
        raise TopologyError(f"there is no queue {queue!r}: declare the topology") from error
