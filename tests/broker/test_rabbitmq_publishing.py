"""Publishing on RabbitMQ survives crashes, alarms and missing queues of a real broker."""

import asyncio
from collections import defaultdict

import pytest

from choreography import (
    BusUnavailableError,
    Event,
    UnroutableError,
)
from choreography._declarations.names import queue_name
from tests.rabbitmq_node import RabbitMQNode
from tests.waiting import until

from .shop import (
    IMPATIENT,
    Shop,
    channel_of,
    fails_to_publish,
    open_bus,
    publish_until_safe,
    suspended,
)


async def test_a_crash_of_the_broker_loses_no_event(crashable: RabbitMQNode, shop: Shop) -> None:
    """After a SIGKILL, published events are there, and other events can be published again."""
    published = list[str]()

    async def publish(saga: str) -> None:
        for number in range(40):
            await publish_until_safe(bus, shop.event(saga, number))
            published.append(saga)

    async with open_bus(crashable, shop) as bus, bus.consume(shop.payment, shop.handle):
        async with asyncio.TaskGroup() as group:
            for saga in range(5):
                group.create_task(publish(f"saga-{saga}"))
            await until(lambda: len(published) >= 40)
            crashable.kill()
            await crashable.restart()
        await until(lambda: len(shop.ids) == 200)
    order = defaultdict[str, list[int]](list)
    for event in shop.events:
        number = event.data["number"]
        assert isinstance(number, int)
        if number not in order[event.saga_id]:
            order[event.saga_id].append(number)
    assert all(numbers == sorted(numbers) for numbers in order.values())


async def test_a_published_event_survives_a_crash_of_the_broker(crashable: RabbitMQNode, shop: Shop) -> None:
    """Published is safe, also without a consumer."""
    async with open_bus(crashable, shop) as bus:
        await bus.publish(shop.event())
        crashable.kill()
        await crashable.restart()
        async with bus.consume(shop.payment, shop.handle):
            await until(lambda: bool(shop.events))


async def test_a_publish_to_an_unresponsive_broker_times_out(crashable: RabbitMQNode, shop: Shop) -> None:
    """A publish ends at its timeout, and may be repeated with the same id."""
    event = shop.event()
    async with open_bus(crashable, shop, IMPATIENT) as bus:
        await bus.publish(shop.event(number=0))
        with suspended(crashable), pytest.raises(BusUnavailableError, match="did not confirm"):
            await bus.publish(event)
        await publish_until_safe(bus, event)
        async with bus.consume(shop.payment, shop.handle):
            await until(lambda: event.id in shop.ids)


async def test_a_publish_continues_when_its_caller_is_cancelled(rabbit: RabbitMQNode, shop: Shop) -> None:
    """Otherwise the same id could be published twice at the same time."""
    async with open_bus(rabbit, shop) as bus:
        publishing = asyncio.create_task(bus.publish(shop.event()))
        await asyncio.sleep(0)
        publishing.cancel()
        async with bus.consume(shop.payment, shop.handle):
            await until(lambda: bool(shop.events))
        assert publishing.cancelled()


async def test_a_returned_event_is_an_error(rabbit: RabbitMQNode, shop: Shop) -> None:
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


async def test_a_memory_alarm_blocks_publishing_only(crashable: RabbitMQNode, shop: Shop) -> None:
    """Consumers continue during the alarm, and publishing resumes after the alarm."""
    gate = asyncio.Event()

    async def waits_for_the_gate(event: Event) -> None:
        await shop.handle(event)
        await gate.wait()

    async with open_bus(crashable, shop, IMPATIENT) as bus, bus.consume(shop.payment, waits_for_the_gate):
        first = [shop.event(f"saga-{number % 3}", number) for number in range(9)]
        for event in first:
            await bus.publish(event)
        await until(lambda: len(shop.events) == 3)
        await crashable.control("set_vm_memory_high_watermark", "0.000001")
        try:
            await until(lambda: fails_to_publish(bus, shop.event(number=99)))
            gate.set()
            await until(lambda: {event.id for event in first} <= shop.ids)
        finally:
            await crashable.control("set_vm_memory_high_watermark", "0.9")
        # A lost connection would have redelivered the events that waited at the gate.
        assert sorted(shop.ids - {shop.event(number=99).id}) == sorted(event.id for event in first)
        assert len([event for event in shop.events if event.data["number"] != 99]) == 9
        await publish_until_safe(bus, shop.event(number=100))
