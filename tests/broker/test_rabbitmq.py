"""What only a real broker can do to those who rely on it, and what they make of it."""

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
from choreography._rabbit_layout import DEAD, queue_of
from tests.rabbitmq_node import RabbitMQNode
from tests.waiting import until

LIMIT = 3
OPTIONS = RabbitOptions(
    patience=timedelta(seconds=5),
    delivery_limit=LIMIT,
    retry_pause=timedelta(milliseconds=1),
    longest_retry_pause=timedelta(milliseconds=10),
    watch_every=timedelta(milliseconds=100),
)
HASTY = RabbitOptions(patience=timedelta(seconds=1), delivery_limit=LIMIT)


@dataclass
class Shop:
    """Names of its own, so that tests do not meet on a node; and what payment has handled."""

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
    node: RabbitMQNode, shop: Shop, options: RabbitOptions = OPTIONS
) -> AsyncIterator[RabbitBus]:
    async with RabbitBus(node.url, options=options) as bus:
        await bus.declare(shop.topology)
        await node.flush_queue_index()
        yield bus


@asynccontextmanager
async def channel_of(node: RabbitMQNode) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    """What others may do on the broker."""
    async with await aio_pika.connect(node.url) as connection:
        yield await connection.channel()


async def publish_until_safe(bus: RabbitBus, event: Event) -> None:
    """As the relay of an outbox does: what raised is published again."""

    async def is_published() -> bool:
        try:
            await bus.publish(event)
        except (BusUnavailableError, UnroutableError):
            return False
        return True

    await until(is_published, within=60)


class TestPublishing:
    async def test_a_broker_that_dies_loses_nothing(self, mortal: RabbitMQNode, shop: Shop) -> None:
        """What was published is there after a SIGKILL, and what was not can be published again."""
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

    async def test_what_is_published_survives_the_death_of_the_broker(
        self, mortal: RabbitMQNode, shop: Shop
    ) -> None:
        """Published is safe, also when nobody consumes yet."""
        async with open_bus(mortal, shop) as bus:
            await bus.publish(shop.event())
            mortal.kill()
            await mortal.restart()
            async with bus.consume(shop.payment, shop.handle):
                await until(lambda: bool(shop.events))

    async def test_a_broker_that_does_not_answer_is_given_up_in_time(
        self, mortal: RabbitMQNode, shop: Shop
    ) -> None:
        """A publish ends within its patience, and may be repeated under the same id."""
        event = shop.event()
        async with open_bus(mortal, shop, HASTY) as bus:
            await bus.publish(shop.event(number=0))
            with stopped(mortal), pytest.raises(BusUnavailableError, match="did not confirm"):
                await bus.publish(event)
            await publish_until_safe(bus, event)
            async with bus.consume(shop.payment, shop.handle):
                await until(lambda: event.id in shop.ids)

    async def test_a_publish_goes_on_when_its_caller_is_cancelled(
        self, rabbit: RabbitMQNode, shop: Shop
    ) -> None:
        """Otherwise the same id could be under way twice."""
        async with open_bus(rabbit, shop) as bus:
            publishing = asyncio.create_task(bus.publish(shop.event()))
            await asyncio.sleep(0)
            publishing.cancel()
            async with bus.consume(shop.payment, shop.handle):
                await until(lambda: bool(shop.events))
            assert publishing.cancelled()

    async def test_what_no_queue_takes_comes_back_as_an_error(self, rabbit: RabbitMQNode, shop: Shop) -> None:
        """The queue is there, but somebody took its binding away; others who publish are not disturbed."""
        other = Shop()
        async with open_bus(rabbit, shop) as bus, channel_of(rabbit) as channel:
            await bus.declare(other.topology)
            queue = await channel.get_queue(queue_of(shop.payment))
            await queue.unbind(f"{shop.order}.events", "order-placed")
            ended = await asyncio.gather(
                *(bus.publish(shop.event(number=number)) for number in range(20)),
                *(bus.publish(shop.event(number=1)) for _ in range(5)),
                *(bus.publish(other.event(number=number)) for number in range(20)),
                return_exceptions=True,
            )
            assert [type(end) for end in ended] == [UnroutableError] * 25 + [type(None)] * 20

    async def test_a_broker_short_of_memory_stops_publishing_only(
        self, mortal: RabbitMQNode, shop: Shop
    ) -> None:
        """Consumers go on, undisturbed, and relieve it; publishing goes on by itself after the alarm."""
        gate = asyncio.Event()

        async def waits_for_the_gate(event: Event) -> None:
            await shop.handle(event)
            await gate.wait()

        async with open_bus(mortal, shop, HASTY) as bus, bus.consume(shop.payment, waits_for_the_gate):
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
            # Had their connection been given up, those that waited at the gate would have come twice.
            assert sorted(shop.ids - {shop.event(number=99).id}) == sorted(event.id for event in first)
            assert len([event for event in shop.events if event.data["number"] != 99]) == 9
            await publish_until_safe(bus, shop.event(number=100))


class TestConsuming:
    async def test_a_broker_that_dies_while_an_event_is_handled(
        self, mortal: RabbitMQNode, shop: Shop
    ) -> None:
        """The handler goes on to its end; the event comes again, and not beside it."""
        began, gate, at_work, most, ended = (
            asyncio.Event(),
            asyncio.Event(),
            list[int](),
            list[int](),
            list[int](),
        )

        async def waits_once(event: Event) -> None:
            at_work.append(1)
            most.append(len(at_work))
            began.set()
            await gate.wait()
            at_work.pop()
            ended.append(1)
            await shop.handle(event)

        async with open_bus(mortal, shop) as bus:
            await bus.publish(shop.event(number=1))
            await bus.publish(shop.event(number=2))
            async with bus.consume(shop.payment, waits_once):
                await began.wait()
                mortal.kill()
                await mortal.restart()
                await until(lambda: consumers(bus) == 1)
                gate.set()
                await until(lambda: len(shop.ids) == 2 and len(ended) == 3)
            assert max(most) == 1
            assert [event.data["number"] for event in shop.events] == [1, 1, 2]

    async def test_a_connection_that_is_cut_comes_back(self, mortal: RabbitMQNode, shop: Shop) -> None:
        """Publishing and consuming go on by themselves."""
        async with open_bus(mortal, shop) as bus, bus.consume(shop.payment, shop.handle):
            for number in range(3):
                await publish_until_safe(bus, shop.event(number=number))
                await until(lambda number=number: shop.event(number=number).id in shop.ids)  # type: ignore[misc]
                await mortal.control("close_all_connections", "a test")
            await publish_until_safe(bus, shop.event(number=9))
            await until(lambda: shop.event(number=9).id in shop.ids)

    async def test_a_queue_that_is_removed_and_declared_again_is_consumed(
        self, rabbit: RabbitMQNode, shop: Shop, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The broker cancels the consumer; it says so in one line, and begins again when there is a queue."""
        async with open_bus(rabbit, shop) as bus, bus.consume(shop.payment, shop.handle):
            await bus.publish(shop.event(number=1))
            await until(lambda: len(shop.events) == 1)
            async with channel_of(rabbit) as channel:
                await channel.queue_delete(queue_of(shop.payment))
            await until(lambda: "declare the topology" in caplog.text)
            await bus.declare(shop.topology)
            await bus.publish(shop.event(number=2))
            await until(lambda: len(shop.events) == 2)

    async def test_a_consumer_that_stopped_silently_is_started_again(
        self, rabbit: RabbitMQNode, shop: Shop, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The broker has forgotten it, and nobody said so."""
        async with open_bus(rabbit, shop) as bus, bus.consume(shop.payment, shop.handle):
            await bus.publish(shop.event(number=1))
            await until(lambda: len(shop.events) == 1)
            for channel, tag in consuming_channels(bus):
                await channel.basic_cancel(tag)
            await bus.publish(shop.event(number=2))
            await until(lambda: len(shop.events) == 2)
            assert "knows of no consumer" in caplog.text

    async def test_a_connection_that_does_not_answer_is_given_up(
        self, mortal: RabbitMQNode, shop: Shop, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Long before its heartbeats are missed."""
        options = RabbitOptions(
            patience=timedelta(seconds=1), watch_every=timedelta(milliseconds=100), delivery_limit=LIMIT
        )
        caplog.set_level(logging.INFO, logger="choreography")
        async with open_bus(mortal, shop, options) as bus, bus.consume(shop.payment, shop.handle):
            await until(lambda: consumers(bus) == 1)
            with stopped(mortal):
                await until(lambda: "for consuming was lost" in caplog.text)
            await publish_until_safe(bus, shop.event())
            await until(lambda: bool(shop.events))

    async def test_what_kills_the_process_each_time_is_put_aside_by_the_broker(
        self, rabbit: RabbitMQNode, shop: Shop
    ) -> None:
        """An event that is never answered is a dead letter too, and says whose it was."""
        async with open_bus(rabbit, shop) as bus:
            await bus.publish(shop.event())
            for _ in range(LIMIT + 1):
                async with channel_of(rabbit) as channel:
                    await one_comes(await channel.get_queue(queue_of(shop.payment)))
            await until(lambda: dead_letters_of(bus, shop, 1))
            (letter,) = [one for one in await bus.read_dead_letters() if one.participant == shop.payment]
            assert "delivery_limit" in letter.reason
            assert letter.message_id == shop.event().id

    async def test_what_breaks_connections_takes_nobody_with_it(
        self, rabbit: RabbitMQNode, shop: Shop
    ) -> None:
        """The library gives a connection up over a date it cannot read; only that message pays for it."""
        async with open_bus(rabbit, shop) as bus:
            await put_unreadable_date(rabbit, queue_of(shop.payment))
            for number in range(5):
                await bus.publish(shop.event(f"saga-{number}", number))
            async with bus.consume(shop.payment, shop.handle):
                await until(lambda: len(shop.ids) == 5, within=60)
            async with channel_of(rabbit) as channel:
                await until(lambda: holds(channel, DEAD, at_least=1))
                # Nobody could look at dead letters any more.
                await (await channel.get_queue(DEAD)).purge()

    async def test_headers_of_any_kind_do_no_harm(self, rabbit: RabbitMQNode, shop: Shop) -> None:
        """A foreign message may carry whatever AMQP knows."""
        headers: aio_pika.abc.HeadersType = {
            "table": {"a": [1, bytearray(b"\xff"), None]},
            "when": datetime.now(UTC),
            "large": 2**62,
            "x-delivery-count": "many",
            "x-death": [{"queue": "nobody", "reason": "rejected", "count": 1}],
            "text": "plain",
        }
        async with open_bus(rabbit, shop) as bus, channel_of(rabbit) as channel:
            message = aio_pika.Message(b"?", headers=headers, expiration=timedelta(hours=1), priority=9)
            await channel.default_exchange.publish(message, queue_of(shop.payment))
            await bus.publish(shop.event())
            async with bus.consume(shop.payment, shop.handle):
                await until(lambda: bool(shop.events))
                await until(lambda: dead_letters_of(bus, shop, 1))
            (letter,) = [one for one in await bus.read_dead_letters() if one.participant == shop.payment]
            assert letter.headers["text"] == "plain"
            assert letter.headers["table"] == "{'a': [1, bytearray(b'\\xff'), None]}"
            assert "x-death" not in letter.headers

    async def test_dead_letters_wait_for_the_broker(self, mortal: RabbitMQNode, shop: Shop) -> None:
        """What cannot be handled is not lost either when the broker dies before it is put aside."""
        began, gate = asyncio.Event(), asyncio.Event()

        async def fails_late(event: Event) -> None:
            began.set()
            await gate.wait()
            raise_dead_letter()

        async with open_bus(mortal, shop) as bus:
            await bus.publish(shop.event())
            async with bus.consume(shop.payment, fails_late):
                await began.wait()
                mortal.kill()
                gate.set()
                await mortal.restart()
                await until(lambda: dead_letters_of(bus, shop, 1))

    async def test_dead_letters_wait_for_their_queue(
        self, mortal: RabbitMQNode, shop: Shop, caplog: pytest.LogCaptureFixture
    ) -> None:
        """What cannot be put aside stays where it is until it can."""

        async def refuses(event: Event) -> None:
            raise_dead_letter()

        async with open_bus(mortal, shop) as bus, channel_of(mortal) as channel:
            await channel.queue_delete(DEAD)
            await bus.publish(shop.event())
            async with bus.consume(shop.payment, refuses):
                await until(lambda: "cannot be put aside" in caplog.text)
                await bus.declare(shop.topology)
                await until(lambda: dead_letters_of(bus, shop, 1))

    async def test_looking_at_dead_letters_leaves_them_there(self, rabbit: RabbitMQNode, shop: Shop) -> None:
        """However often somebody looks."""
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
    async def test_a_broker_that_is_missing_is_an_error_and_then_a_pause(
        self, mortal: RabbitMQNode, shop: Shop, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Whoever needs it is told; who comes back when it is there finds everything in order."""
        mortal.kill()
        async with RabbitBus(mortal.url, options=HASTY) as bus:
            with pytest.raises(
                BusUnavailableError, match=f"RabbitMQ at {mortal.address} .*cannot be reached"
            ):
                await bus.declare(shop.topology)
            await mortal.restart()
            await until(lambda: declares(bus, shop))
            await mortal.flush_queue_index()
            async with bus.consume(shop.payment, shop.handle):
                await publish_until_safe(bus, shop.event())
                await until(lambda: bool(shop.events))
                mortal.kill()
                with pytest.raises(
                    BusUnavailableError, match=r"Connect call failed|lost|broke off|closed|tried|reset"
                ):
                    await bus.publish(shop.event(number=2))
                await mortal.restart()
                await publish_until_safe(bus, shop.event(number=2))
                await until(lambda: len(shop.ids) == 2)
        ours = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert ours
        assert {record.name.partition(".")[0] for record in ours} == {"choreography"}
        assert all("\n" not in record.getMessage() and not record.exc_info for record in ours)

    async def test_a_bus_can_be_closed_without_a_broker(self, mortal: RabbitMQNode, shop: Shop) -> None:
        """Nobody waits for what may never come."""
        async with open_bus(mortal, shop) as bus, bus.consume(shop.payment, shop.handle):
            mortal.kill()

    async def test_another_shape_is_refused(self, rabbit: RabbitMQNode, shop: Shop) -> None:
        """A queue that was declared otherwise is not used as if it were ours."""
        async with open_bus(rabbit, shop) as bus:
            other = RabbitOptions(delivery_limit=LIMIT + 1)
            async with RabbitBus(rabbit.url, options=other) as second:
                with pytest.raises(TopologyError, match="x-delivery-limit"):
                    await second.declare(shop.topology)
            await bus.publish(shop.event())

    @pytest.mark.parametrize("url", ["amqp://user:s3cret@{}/", "amqp://user:%73s3cret@{}/vhost?heartbeat=5"])
    async def test_a_password_is_never_shown(
        self, rabbit: RabbitMQNode, url: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Not in a log, however verbose, and not in an error."""
        caplog.set_level(logging.DEBUG)
        caplog.set_level(logging.DEBUG, logger="aiormq")
        async with RabbitBus(url.format(rabbit.address), options=HASTY) as bus:
            said = ""
            try:
                await bus.declare(Topology(queues={}))
            except BusUnavailableError as error:
                said = str(error)
            assert "RabbitMQ at 127.0.0.1" in caplog.text
            assert "s3cret" not in f"{said} {bus!r} {caplog.text}"

    @pytest.mark.parametrize(
        "url", ["", "http://u:s3cret@host", "amqp:", "amqp://u:s3cret@host:port", "host:5672"]
    )
    def test_what_is_no_url_is_refused(self, url: str) -> None:
        """Before anything is tried, and without repeating it."""
        with pytest.raises(ValueError, match="must look like") as caught:
            RabbitBus(url)
        assert "s3cret" not in str(caught.value)

    @pytest.mark.parametrize(
        "change",
        [
            {"patience": timedelta()},
            {"prefetch": 0},
            {"prefetch": 70_000},
            {"delivery_limit": 2},
            {"handler_deadline": timedelta(minutes=29)},
        ],
    )
    def test_options_are_checked(self, change: dict[str, object]) -> None:
        """A bad value is refused where it is written."""
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
    """A broker with an alarm blocks those who publish as soon as they do."""
    try:
        await bus.publish(event)
    except BusUnavailableError:
        return True
    return False


async def put_unreadable_date(node: RabbitMQNode, queue: str) -> None:
    """A message as another client may write it: its date lies beyond the year 9999."""
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


async def one_comes(queue: aio_pika.abc.AbstractQueue) -> None:
    """A message is delivered, and never answered."""
    came = asyncio.Event()

    async def take(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        came.set()

    await queue.consume(take)
    await came.wait()


def consuming_channels(bus: RabbitBus) -> list[tuple[AbstractChannel, str]]:
    """The channels below those of the bus, with the tags of their consumers."""
    connection = bus._consuming._connection
    if connection is None or connection.transport is None:
        return []
    channels = connection.transport.connection.channels.values()
    return [(one, tag) for one in channels if isinstance(one, Channel) for tag in one.consumers]


def consumers(bus: RabbitBus) -> int:
    return len(consuming_channels(bus))


@contextmanager
def stopped(node: RabbitMQNode) -> Iterator[None]:
    """A broker that takes what is sent and says nothing."""
    os.killpg(node.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(node.process.pid, signal.SIGCONT)
