"""The bus on RabbitMQ survives crashes, alarms and lost connections of a real broker."""

import asyncio
import logging
import os
import signal
import struct
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from uuid import uuid4

import aio_pika
import pamqp.frame
import pytest
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
    TopologyError,
    UnroutableError,
)
from choreography._declarations.names import queue_name
from choreography._messaging.rabbitmq.broker_topology import DEAD
from tests.rabbit_node import RabbitNode
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
    """Unique names, so that tests do not share queues on a node, and the handled events of payment."""

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


@pytest.fixture
def shop() -> Shop:
    return Shop()


@asynccontextmanager
async def open_bus(
    node: RabbitNode, shop: Shop, options: RabbitOptions = OPTIONS
) -> AsyncIterator[RabbitBus]:
    async with RabbitBus(node.url, options=options) as bus:
        await bus.declare(shop.topology)
        await node.settle()
        yield bus


@asynccontextmanager
async def channel_of(node: RabbitNode) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
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


class TestPublishing:
    async def test_a_crash_of_the_broker_loses_no_event(self, mortal: RabbitNode, shop: Shop) -> None:
        """After a SIGKILL, published events are there, and other events can be published again."""
        published = list[str]()

        async def publish(saga: str) -> None:
            for number in range(40):
                await publish_until_safe(bus, shop.event(saga, number))
                published.append(saga)

        async with open_bus(mortal, shop) as bus, bus.consume(shop.payment, shop.handle):
            async with asyncio.TaskGroup() as group:
                for saga in range(5):
                    group.create_task(publish(f"saga-{saga}"))
                await until(lambda: len(published) >= 40)
                mortal.kill()
                await mortal.restart()
            await until(lambda: len(shop.ids) == 200)
        order = defaultdict[str, list[int]](list)
        for event in shop.events:
            number = event.data["number"]
            assert isinstance(number, int)
            if number not in order[event.saga_id]:
                order[event.saga_id].append(number)
        assert all(numbers == sorted(numbers) for numbers in order.values())

    async def test_a_published_event_survives_a_crash_of_the_broker(
        self, mortal: RabbitNode, shop: Shop
    ) -> None:
        """Published is safe, also without a consumer."""
        async with open_bus(mortal, shop) as bus:
            await bus.publish(shop.event())
            mortal.kill()
            await mortal.restart()
            async with bus.consume(shop.payment, shop.handle):
                await until(lambda: bool(shop.events))

    async def test_a_publish_to_an_unresponsive_broker_times_out(
        self, mortal: RabbitNode, shop: Shop
    ) -> None:
        """A publish ends at its timeout, and may be repeated with the same id."""
        event = shop.event()
        async with open_bus(mortal, shop, IMPATIENT) as bus:
            await bus.publish(shop.event(number=0))
            with suspended(mortal), pytest.raises(BusUnavailableError, match="did not confirm"):
                await bus.publish(event)
            await publish_until_safe(bus, event)
            async with bus.consume(shop.payment, shop.handle):
                await until(lambda: event.id in shop.ids)

    async def test_a_publish_continues_when_its_caller_is_cancelled(
        self, rabbit: RabbitNode, shop: Shop
    ) -> None:
        """Otherwise the same id could be published twice at the same time."""
        async with open_bus(rabbit, shop) as bus:
            publishing = asyncio.create_task(bus.publish(shop.event()))
            await asyncio.sleep(0)
            publishing.cancel()
            async with bus.consume(shop.payment, shop.handle):
                await until(lambda: bool(shop.events))
            assert publishing.cancelled()

    async def test_a_returned_event_is_an_error(self, rabbit: RabbitNode, shop: Shop) -> None:
        """The queue exists without its binding; concurrent publishes of other events succeed."""
        other = Shop()
        async with open_bus(rabbit, shop) as bus, channel_of(rabbit) as channel:
            await bus.declare(other.topology)
            queue = await channel.get_queue(queue_name(shop.payment))
            await queue.unbind(f"{shop.order}.events", "order-placed")
            ended = await asyncio.gather(
                *(bus.publish(shop.event(number=number)) for number in range(20)),
                *(bus.publish(shop.event(number=1)) for _ in range(5)),
                *(bus.publish(other.event(number=number)) for number in range(20)),
                return_exceptions=True,
            )
            assert [type(end) for end in ended] == [UnroutableError] * 25 + [type(None)] * 20

    async def test_a_memory_alarm_blocks_publishing_only(self, mortal: RabbitNode, shop: Shop) -> None:
        """Consumers continue during the alarm, and publishing resumes by itself after the alarm."""
        gate = asyncio.Event()

        async def waits_for_the_gate(event: Event) -> None:
            await shop.handle(event)
            await gate.wait()

        async with open_bus(mortal, shop, IMPATIENT) as bus, bus.consume(shop.payment, waits_for_the_gate):
            first = [shop.event(f"saga-{number % 3}", number) for number in range(9)]
            for event in first:
                await bus.publish(event)
            await until(lambda: len(shop.events) == 3)
            await mortal.control("set_vm_memory_high_watermark", "0.000001")
            try:
                await until(lambda: fails_to_publish(bus, shop.event(number=99)))
                gate.set()
                await until(lambda: {event.id for event in first} <= shop.ids)
            finally:
                await mortal.control("set_vm_memory_high_watermark", "0.9")
            # A lost connection would have redelivered the events that waited at the gate.
            assert sorted(shop.ids - {shop.event(number=99).id}) == sorted(event.id for event in first)
            assert len([event for event in shop.events if event.data["number"] != 99]) == 9
            await publish_until_safe(bus, shop.event(number=100))


class TestConsuming:
    async def test_a_crash_of_the_broker_during_a_handler(self, mortal: RabbitNode, shop: Shop) -> None:
        """The handler runs to its end; the event is redelivered afterwards, not concurrently."""
        started, gate, running, most, ended = (
            asyncio.Event(),
            asyncio.Event(),
            list[int](),
            list[int](),
            list[int](),
        )

        async def waits_once(event: Event) -> None:
            running.append(1)
            most.append(len(running))
            started.set()
            await gate.wait()
            running.pop()
            ended.append(1)
            await shop.handle(event)

        async with open_bus(mortal, shop) as bus:
            await bus.publish(shop.event(number=1))
            await bus.publish(shop.event(number=2))
            async with bus.consume(shop.payment, waits_once):
                await started.wait()
                mortal.kill()
                await mortal.restart()
                await until(lambda: count_consumers(bus) == 1)
                gate.set()
                await until(lambda: len(shop.ids) == 2 and len(ended) == 3)
            assert max(most) == 1
            assert [event.data["number"] for event in shop.events] == [1, 1, 2]

    async def test_a_closed_connection_is_reestablished(self, mortal: RabbitNode, shop: Shop) -> None:
        """Publishing and consuming resume by themselves."""
        async with open_bus(mortal, shop) as bus, bus.consume(shop.payment, shop.handle):
            for number in range(3):
                await publish_until_safe(bus, shop.event(number=number))
                await until(lambda number=number: shop.event(number=number).id in shop.ids)  # type: ignore[misc]
                await mortal.control("close_all_connections", "a test")
            await publish_until_safe(bus, shop.event(number=9))
            await until(lambda: shop.event(number=9).id in shop.ids)

    async def test_a_queue_is_consumed_again_after_its_removal_and_declaration(
        self, rabbit: RabbitNode, shop: Shop, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The broker cancels the consumer, which logs one line and subscribes again when the queue exists."""
        async with open_bus(rabbit, shop) as bus, bus.consume(shop.payment, shop.handle):
            await bus.publish(shop.event(number=1))
            await until(lambda: len(shop.events) == 1)
            async with channel_of(rabbit) as channel:
                await channel.queue_delete(queue_name(shop.payment))
            await until(lambda: "declare the topology" in caplog.text)
            await bus.declare(shop.topology)
            await bus.publish(shop.event(number=2))
            await until(lambda: len(shop.events) == 2)

    async def test_a_consumer_without_deliveries_subscribes_again(
        self, rabbit: RabbitNode, shop: Shop, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The broker has dropped the consumer without a notice."""
        async with open_bus(rabbit, shop) as bus, bus.consume(shop.payment, shop.handle):
            await bus.publish(shop.event(number=1))
            await until(lambda: len(shop.events) == 1)
            for channel, tag in consuming_channels(bus):
                await channel.basic_cancel(tag)
            await bus.publish(shop.event(number=2))
            await until(lambda: len(shop.events) == 2)
            assert "has no consumer" in caplog.text

    async def test_an_unresponsive_connection_is_replaced(
        self, mortal: RabbitNode, shop: Shop, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The replacement happens long before the heartbeats are missed."""
        options = RabbitOptions(
            broker_timeout=timedelta(seconds=1),
            consumer_check_interval=timedelta(milliseconds=100),
            delivery_limit=LIMIT,
        )
        caplog.set_level(logging.INFO, logger="choreography")
        async with open_bus(mortal, shop, options) as bus, bus.consume(shop.payment, shop.handle):
            await until(lambda: count_consumers(bus) == 1)
            with suspended(mortal):
                await until(lambda: "for consuming was lost" in caplog.text)
            await publish_until_safe(bus, shop.event())
            await until(lambda: bool(shop.events))

    async def test_an_event_that_always_ends_its_process_becomes_a_dead_letter(
        self, rabbit: RabbitNode, shop: Shop
    ) -> None:
        """The broker moves an event that is never answered to the dead letters, with its participant."""
        async with open_bus(rabbit, shop) as bus:
            await bus.publish(shop.event())
            for _ in range(LIMIT + 1):
                async with channel_of(rabbit) as channel:
                    await receive_one(await channel.get_queue(queue_name(shop.payment)))
            await until(lambda: dead_letters_of(bus, shop, 1))
            (letter,) = [one for one in await bus.read_dead_letters() if one.participant == shop.payment]
            assert "delivery_limit" in letter.reason
            assert letter.message_id == shop.event().id

    async def test_a_message_that_breaks_connections_does_not_harm_other_messages(
        self, rabbit: RabbitNode, shop: Shop
    ) -> None:
        """The library closes a connection at an unreadable date; only this message becomes a dead letter."""
        async with open_bus(rabbit, shop) as bus:
            await put_unreadable_date(rabbit, queue_name(shop.payment))
            for number in range(5):
                await bus.publish(shop.event(f"saga-{number}", number))
            async with bus.consume(shop.payment, shop.handle):
                await until(lambda: len(shop.ids) == 5, within=60)
            async with channel_of(rabbit) as channel:
                await until(lambda: holds(channel, DEAD, at_least=1))
                # Otherwise later tests could not read the dead letters.
                await (await channel.get_queue(DEAD)).purge()

    async def test_headers_of_any_type_are_accepted(self, rabbit: RabbitNode, shop: Shop) -> None:
        """A message of another client may carry every type of AMQP."""
        headers: aio_pika.abc.HeadersType = {
            "table": {"a": [1, bytearray(b"\xff"), None]},
            "when": datetime.now(UTC),
            "large": 2**62,
            "x-delivery-count": "many",
            "x-death": [{"queue": "another", "reason": "rejected", "count": 1}],
            "text": "plain",
        }
        async with open_bus(rabbit, shop) as bus, channel_of(rabbit) as channel:
            message = aio_pika.Message(b"?", headers=headers, expiration=timedelta(hours=1), priority=9)
            await channel.default_exchange.publish(message, queue_name(shop.payment))
            await bus.publish(shop.event())
            async with bus.consume(shop.payment, shop.handle):
                await until(lambda: bool(shop.events))
                await until(lambda: dead_letters_of(bus, shop, 1))
            (letter,) = [one for one in await bus.read_dead_letters() if one.participant == shop.payment]
            assert letter.headers["text"] == "plain"
            assert letter.headers["table"] == "{'a': [1, bytearray(b'\\xff'), None]}"
            assert "x-death" not in letter.headers

    async def test_a_dead_letter_waits_for_the_broker(self, mortal: RabbitNode, shop: Shop) -> None:
        """A refused event is not lost if the broker crashes before the dead letter is published."""
        started, gate = asyncio.Event(), asyncio.Event()

        async def fails_late(event: Event) -> None:
            started.set()
            await gate.wait()
            raise_dead_letter()

        async with open_bus(mortal, shop) as bus:
            await bus.publish(shop.event())
            async with bus.consume(shop.payment, fails_late):
                await started.wait()
                mortal.kill()
                gate.set()
                await mortal.restart()
                await until(lambda: dead_letters_of(bus, shop, 1))

    async def test_a_dead_letter_waits_for_its_queue(
        self, mortal: RabbitNode, shop: Shop, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A refused event stays in its queue until the queue of the dead letters exists."""

        async def refuses(event: Event) -> None:
            raise_dead_letter()

        async with open_bus(mortal, shop) as bus, channel_of(mortal) as channel:
            await channel.queue_delete(DEAD)
            await bus.publish(shop.event())
            async with bus.consume(shop.payment, refuses):
                await until(lambda: "cannot move to the dead letters" in caplog.text)
                await bus.declare(shop.topology)
                await until(lambda: dead_letters_of(bus, shop, 1))

    async def test_reading_dead_letters_keeps_them(self, rabbit: RabbitNode, shop: Shop) -> None:
        """Any number of reads keeps the dead letters."""
        async with open_bus(rabbit, shop) as bus:

            async def refuses(event: Event) -> None:
                raise_dead_letter()

            for number in range(3):
                await bus.publish(shop.event(number=number))
            async with bus.consume(shop.payment, refuses):
                await until(lambda: dead_letters_of(bus, shop, 3))
            for _ in range(30):
                await until(lambda: dead_letters_of(bus, shop, 3))


class TestStarting:
    async def test_an_unavailable_broker_is_an_error_at_first_and_a_pause_later(
        self, mortal: RabbitNode, shop: Shop, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Declaring and publishing raise while the broker is unavailable, and work when it is back."""
        mortal.kill()
        async with RabbitBus(mortal.url, options=IMPATIENT) as bus:
            with pytest.raises(BusUnavailableError, match=f"RabbitMQ at {mortal.address} .*is unreachable"):
                await bus.declare(shop.topology)
            await mortal.restart()
            await until(lambda: declares(bus, shop))
            await mortal.settle()
            async with bus.consume(shop.payment, shop.handle):
                await publish_until_safe(bus, shop.event())
                await until(lambda: bool(shop.events))
                mortal.kill()
                with pytest.raises(
                    BusUnavailableError, match=r"Connect call failed|lost|closed|not connected|reset"
                ):
                    await bus.publish(shop.event(number=2))
                await mortal.restart()
                await publish_until_safe(bus, shop.event(number=2))
                await until(lambda: len(shop.ids) == 2)
        ours = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert ours
        assert {record.name.partition(".")[0] for record in ours} == {"choreography"}
        assert all("\n" not in record.getMessage() and not record.exc_info for record in ours)

    async def test_a_bus_can_be_closed_without_a_broker(self, mortal: RabbitNode, shop: Shop) -> None:
        """Closing does not wait for an unavailable broker."""
        async with open_bus(mortal, shop) as bus, bus.consume(shop.payment, shop.handle):
            mortal.kill()

    async def test_a_queue_with_other_arguments_is_refused(self, rabbit: RabbitNode, shop: Shop) -> None:
        """A queue with other arguments would break a guarantee of the bus."""
        async with open_bus(rabbit, shop) as bus:
            other = RabbitOptions(delivery_limit=LIMIT + 1)
            async with RabbitBus(rabbit.url, options=other) as second:
                with pytest.raises(TopologyError, match="x-delivery-limit"):
                    await second.declare(shop.topology)
            await bus.publish(shop.event())

    @pytest.mark.parametrize("url", ["amqp://user:s3cret@{}/", "amqp://user:%73s3cret@{}/vhost?heartbeat=5"])
    async def test_the_password_is_never_shown(
        self, rabbit: RabbitNode, url: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Neither the most verbose log nor an error has the password."""
        caplog.set_level(logging.DEBUG)
        caplog.set_level(logging.DEBUG, logger="aiormq")
        async with RabbitBus(url.format(rabbit.address), options=IMPATIENT) as bus:
            error_text = ""
            try:
                await bus.declare(Topology(queues={}))
            except BusUnavailableError as error:
                error_text = str(error)
            assert "RabbitMQ at 127.0.0.1" in caplog.text
            assert "s3cret" not in f"{error_text} {bus!r} {caplog.text}"

    @pytest.mark.parametrize(
        "url", ["", "http://u:s3cret@host", "amqp:", "amqp://u:s3cret@host:port", "host:5672"]
    )
    def test_an_invalid_url_is_refused(self, url: str) -> None:
        """The error comes before the first connection, and does not repeat the URL."""
        with pytest.raises(ValueError, match="must look like") as caught:
            RabbitBus(url)
        assert "s3cret" not in str(caught.value)

    @pytest.mark.parametrize(
        "change",
        [
            {"broker_timeout": timedelta()},
            {"prefetch_count": 0},
            {"prefetch_count": 70_000},
            {"delivery_limit": 2},
            {"handler_timeout": timedelta(minutes=29)},
        ],
    )
    def test_options_out_of_range_are_refused(self, change: dict[str, object]) -> None:
        """The constructor refuses the value."""
        with pytest.raises(ValueError, match=r"must be|30 minutes"):
            RabbitOptions(**change)  # type: ignore[arg-type]


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


async def put_unreadable_date(node: RabbitNode, queue: str) -> None:
    """Sends a message whose date lies beyond the year 9999, as another client may."""
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
    """Receives one message without an answer."""
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
def suspended(node: RabbitNode) -> Iterator[None]:
    """Suspends a broker, which then accepts bytes and never answers."""
    os.killpg(node.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(node.process.pid, signal.SIGCONT)
