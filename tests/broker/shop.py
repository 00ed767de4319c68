"""A payment participant on RabbitMQ, and the actions of other clients on its broker."""

import asyncio
import os
import signal
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from uuid import uuid4

import aio_pika
import pamqp.frame
from aiormq.abc import AbstractChannel
from aiormq.channel import Channel
from pamqp import commands
from pamqp.base import Frame

from choreography import (
    BusUnavailableError,
    DeadLetterError,
    Event,
    RabbitBus,
    RabbitOptions,
    Topology,
    UnroutableError,
)
from tests.rabbitmq_node import RabbitMQNode
from tests.waiting import until

LIMIT = 3
OPTIONS = RabbitOptions(
    broker_timeout=timedelta(seconds=5),
    delivery_limit=LIMIT,
    first_retry_delay=timedelta(milliseconds=1),
    longest_retry_delay=timedelta(milliseconds=10),
    consumer_check_interval=timedelta(milliseconds=100),
)
IMPATIENT = RabbitOptions(broker_timeout=timedelta(seconds=1), delivery_limit=LIMIT)


@dataclass
class Shop:
    """Unique names, because tests share a node, and the handled events of payment."""

    order: str = field(default_factory=lambda: f"order-{uuid4()}")
    payment: str = field(default_factory=lambda: f"payment-{uuid4()}")
    events: list[Event] = field(default_factory=list[Event])

    @property
    def topology(self) -> Topology:
        return Topology(queues={self.payment: frozenset({(self.order, "order-placed")})})

    @property
    def ids(self) -> set[str]:
        return {event.id for event in self.events}

    def event(self, saga: str = "saga-1", number: int = 1) -> Event:
        return Event(
            id=f"{self.order}/{saga}/{number}",
            type="order-placed",
            source=self.order,
            saga_id=saga,
            time=datetime.now(UTC),
            data={"number": number},
        )

    async def handle(self, event: Event) -> None:
        self.events.append(event)


@asynccontextmanager
async def open_bus(
    node: RabbitMQNode, shop: Shop, options: RabbitOptions = OPTIONS
) -> AsyncIterator[RabbitBus]:
    async with RabbitBus(node.url, options=options) as bus:
        await bus.declare(shop.topology)
        await node.flush_queue_index()
        yield bus


@asynccontextmanager
async def channel_of(node: RabbitMQNode) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    """A channel for the actions of other clients."""
    async with await aio_pika.connect(node.url) as connection:
        yield await connection.channel()


async def publish_until_safe(bus: RabbitBus, event: Event) -> None:
    """Publishes again after each error, as an outbox relay does."""

    async def is_published() -> bool:
        try:
            await bus.publish(event)
        except (BusUnavailableError, UnroutableError):
            return False
        return True

    await until(is_published, within=60)


def raise_dead_letter() -> None:
    raise DeadLetterError("never")


async def declares(bus: RabbitBus, shop: Shop) -> bool:
    try:
        await bus.declare(shop.topology)
    except BusUnavailableError:
        return False
    return True


async def dead_letters_of(bus: RabbitBus, shop: Shop, count: int) -> bool:
    try:
        found = await bus.read_dead_letters(limit=1000)
    except BusUnavailableError:
        return False
    return len([letter for letter in found if letter.participant == shop.payment]) >= count


async def fails_to_publish(bus: RabbitBus, event: Event) -> bool:
    """Publishes, and says whether this failed: under an alarm the broker blocks publishing connections."""
    try:
        await bus.publish(event)
    except BusUnavailableError:
        return True
    return False


async def put_unreadable_date(node: RabbitMQNode, queue: str) -> None:
    """Sends a message with a date beyond the year 9999, as another client may."""
    where = urlsplit(node.url)
    login = f"\0{where.username}\0{where.password}"
    reader, writer = await asyncio.open_connection(where.hostname, where.port)

    async def send(*frames: Frame, channel: int = 1) -> None:
        writer.write(b"".join(pamqp.frame.marshal(frame, channel) for frame in frames))
        await writer.drain()

    try:
        writer.write(b"AMQP\x00\x00\x09\x01")
        await reader.read(4096)
        await send(commands.Connection.StartOk({}, "PLAIN", login, "en_US"), channel=0)
        await reader.read(4096)
        await send(commands.Connection.TuneOk(10, 131072, 0), commands.Connection.Open("/"), channel=0)
        await reader.read(4096)
        await send(commands.Channel.Open())
        await reader.read(4096)
        await send(commands.Confirm.Select())
        await reader.read(4096)
        await send(commands.Basic.Publish(exchange="", routing_key=queue))
        flags_and_date = struct.pack(">HQ", 1 << 6, 2**62)
        payload = struct.pack(">HHQ", 60, 0, 0) + flags_and_date
        writer.write(struct.pack(">BHI", 2, 1, len(payload)) + payload + b"\xce")
        await reader.read(4096)
    finally:
        writer.close()
        await writer.wait_closed()


async def holds(channel: aio_pika.abc.AbstractChannel, queue: str, *, at_least: int) -> bool:
    found = (await channel.declare_queue(queue, passive=True)).declaration_result.message_count
    return (found or 0) >= at_least


async def receive_one(queue: aio_pika.abc.AbstractQueue) -> None:
    """Receives a message without an answer."""
    received = asyncio.Event()

    async def take(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        received.set()

    await queue.consume(take)
    await received.wait()


def consuming_channels(bus: RabbitBus) -> list[tuple[AbstractChannel, str]]:
    """The channels with consumers of the bus, with the tags of the consumers."""
    connection = bus._consuming._connection
    if connection is None or connection.transport is None:
        return []
    channels = connection.transport.connection.channels.values()
    return [(one, tag) for one in channels if isinstance(one, Channel) for tag in one.consumers]


def count_consumers(bus: RabbitBus) -> int:
    return len(consuming_channels(bus))


@contextmanager
def suspended(node: RabbitMQNode) -> Iterator[None]:
    """Suspends a broker: the broker accepts bytes and never answers."""
    os.killpg(node.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(node.process.pid, signal.SIGCONT)
