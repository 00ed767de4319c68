"""Publishes messages with confirms, and detects missing queues."""

import asyncio
from collections.abc import Awaitable, Callable

from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import PublishError

from ..._errors import UnroutableError
from ..cloudevents import BrokerMessage
from .connection import ManagedConnection
from .error_translation import translate_errors
from .message_conversion import to_amqp

EXISTENCE_CACHE_SECONDS = 30.0
"""Seconds for which a queue or an exchange that existed is assumed to exist."""


class Publisher:
    """Publishes over a channel with publisher confirms; a broken channel is replaced."""

    def __init__(self, connection: ManagedConnection) -> None:
        self._connection = connection
        self._channel: AbstractChannel | None = None
        self._existing_until: dict[str, float] = {}
        self._opening, self._checking = asyncio.Lock(), asyncio.Lock()

    async def publish(
        self, message: BrokerMessage, *, exchange: str, routing_key: str, queues: frozenset[str]
    ) -> None:
        """Publishes a message; returns when the broker has confirmed the message.

        Concurrent publishes need different message ids: otherwise the library would confuse the returns.

        Args:
            message: The message.
            exchange: The target; a missing exchange is ignored when `queues` is empty.
            routing_key: The routing key of the bindings.
            queues: The queues that must receive the message; their existence is checked from time to time.

        Raises:
            BusUnavailableError: The broker did not confirm, and may have the message anyway.
            UnroutableError: A queue is missing, or the broker returned the message as unroutable.
        """
        async with translate_errors(self._connection):
            channel = await self._open_channel()
            if not await self._exists(exchange, self._connection.has_exchange):
                if queues:
                    raise UnroutableError(f"there is no exchange {exchange!r}: declare the topology")
                return
            for queue in sorted(queues):
                if not await self._exists(queue, self._connection.has_queue):
                    raise UnroutableError(f"there is no queue {queue!r}: declare the topology")
            target = await channel.get_exchange(exchange, ensure=False)
            try:
                await target.publish(to_amqp(message), routing_key, mandatory=bool(queues))
            except PublishError as error:
                raise UnroutableError(
                    f"no queue took {message.type!r} from exchange {exchange!r}: declare the topology"
                ) from error
            except asyncio.CancelledError:
                # A late confirm or return would be taken for the answer to the next attempt.
                if channel is self._channel:
                    self._channel = None
                    self._connection.reconnect()
                raise

    async def _open_channel(self) -> AbstractChannel:
        async with self._opening:
            if self._channel is None or self._channel.is_closed:
                self._channel = None
                connection = await self._connection.wait_until_connected()
                # Under a memory alarm the broker reads nothing: a message would arrive after its timeout.
                if connection.transport is not None:
                    await connection.transport.ready()
                channel = connection.channel(publisher_confirms=True, on_return_raises=True)
                await channel.initialize()
                self._channel = channel
                self._existing_until.clear()
            return self._channel

    async def _exists(self, name: str, ask: Callable[[str], Awaitable[bool]]) -> bool:
        """Asks whether a queue or an exchange exists, unless the cached answer is recent.

        A publish to a missing exchange closes the channel for all concurrent publishes, and the broker
        returns a message only if *no* queue receives the message, not if one of several queues is missing.
        """
        now = asyncio.get_running_loop().time()
        if self._existing_until.get(name, 0.0) > now:
            return True
        async with self._checking:
            if self._existing_until.get(name, 0.0) <= now:
                if not await ask(name):
                    return False
                self._existing_until[name] = now + EXISTENCE_CACHE_SECONDS
        return True
