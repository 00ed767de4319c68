"""Consuming on RabbitMQ survives crashes, lost connections and harmful messages on a real broker."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

import aio_pika
import pytest

from choreography import (
    Event,
    RabbitOptions,
)
from choreography._declarations.names import queue_name
from choreography._messaging.rabbitmq.broker_topology import DEAD
from tests.rabbitmq_node import RabbitMQNode
from tests.waiting import until

from .shop import (
    LIMIT,
    Shop,
    channel_of,
    consuming_channels,
    count_consumers,
    dead_letters_of,
    holds,
    open_bus,
    publish_until_safe,
    put_unreadable_date,
    raise_dead_letter,
    receive_one,
    suspended,
)


async def test_a_crash_of_the_broker_during_a_handler(crashable: RabbitMQNode, shop: Shop) -> None:
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

    async with open_bus(crashable, shop) as bus:
        await bus.publish(shop.event(number=1))
        await bus.publish(shop.event(number=2))
        async with bus.consume(shop.payment, waits_once):
            await started.wait()
            crashable.kill()
            await crashable.restart()
            await until(lambda: count_consumers(bus) == 1)
            gate.set()
            await until(lambda: len(shop.ids) == 2 and len(ended) == 3)
        assert max(most) == 1
        assert [event.data["number"] for event in shop.events] == [1, 1, 2]


async def test_a_closed_connection_is_reestablished(crashable: RabbitMQNode, shop: Shop) -> None:
    """Publishing and consuming resume by themselves."""
    async with open_bus(crashable, shop) as bus, bus.consume(shop.payment, shop.handle):
        for number in range(3):
            await publish_until_safe(bus, shop.event(number=number))
            await until(lambda number=number: shop.event(number=number).id in shop.ids)  # type: ignore[misc]
            await crashable.control("close_all_connections", "a test")
        await publish_until_safe(bus, shop.event(number=9))
        await until(lambda: shop.event(number=9).id in shop.ids)


async def test_a_queue_is_consumed_again_after_its_removal_and_declaration(
    rabbit: RabbitMQNode, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """The cancelled consumer logs a line and subscribes again when the queue exists."""
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
    rabbit: RabbitMQNode, shop: Shop, caplog: pytest.LogCaptureFixture
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
    crashable: RabbitMQNode, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """The replacement happens long before the heartbeats are missed."""
    options = RabbitOptions(
        broker_timeout=timedelta(seconds=1),
        consumer_check_interval=timedelta(milliseconds=100),
        delivery_limit=LIMIT,
    )
    caplog.set_level(logging.INFO, logger="choreography")
    async with open_bus(crashable, shop, options) as bus, bus.consume(shop.payment, shop.handle):
        await until(lambda: count_consumers(bus) == 1)
        with suspended(crashable):
            await until(lambda: "for consuming was lost" in caplog.text)
        await publish_until_safe(bus, shop.event())
        await until(lambda: bool(shop.events))


async def test_an_event_that_always_ends_its_process_becomes_a_dead_letter(
    rabbit: RabbitMQNode, shop: Shop
) -> None:
    """The broker moves an unanswered event to the dead letters, with the participant."""
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
    rabbit: RabbitMQNode, shop: Shop
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


async def test_headers_of_any_type_are_accepted(rabbit: RabbitMQNode, shop: Shop) -> None:
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


async def test_a_dead_letter_waits_for_the_broker(crashable: RabbitMQNode, shop: Shop) -> None:
    """A refused event is not lost if the broker crashes before the dead letter is published."""
    started, gate = asyncio.Event(), asyncio.Event()

    async def fails_late(event: Event) -> None:
        started.set()
        await gate.wait()
        raise_dead_letter()

    async with open_bus(crashable, shop) as bus:
        await bus.publish(shop.event())
        async with bus.consume(shop.payment, fails_late):
            await started.wait()
            crashable.kill()
            gate.set()
            await crashable.restart()
            await until(lambda: dead_letters_of(bus, shop, 1))


async def test_a_dead_letter_waits_for_its_queue(
    crashable: RabbitMQNode, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """A refused event stays in its queue until the queue of the dead letters exists."""

    async def refuses(event: Event) -> None:
        raise_dead_letter()

    async with open_bus(crashable, shop) as bus, channel_of(crashable) as channel:
        await channel.queue_delete(DEAD)
        await bus.publish(shop.event())
        async with bus.consume(shop.payment, refuses):
            await until(lambda: "cannot move to the dead letters" in caplog.text)
            await bus.declare(shop.topology)
            await until(lambda: dead_letters_of(bus, shop, 1))


async def test_reading_dead_letters_keeps_them(rabbit: RabbitMQNode, shop: Shop) -> None:
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
