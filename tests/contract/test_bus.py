"""The guarantees of a bus: one suite for the bus in memory and the bus on RabbitMQ."""

import asyncio
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import aio_pika
import pytest
import pytest_asyncio

from choreography import (
    Bus,
    ContractError,
    DeadLetter,
    DeadLetterError,
    Event,
    MemoryBus,
    RabbitBus,
    RabbitOptions,
    Topology,
    TopologyError,
    UnroutableError,
)
from choreography._messaging.cloudevents import CONTENT_TYPE, BrokerMessage, decode
from tests.rabbitmq_node import RabbitMQNode
from tests.waiting import until

LIMIT = 3
NOT_JSON = b"\xffnot json"


class Broker(ABC):
    """The bus and access to the broker. Participants have unique names, because a broker outlives a test."""

    def __init__(self) -> None:
        self.payment, self.stock, self.order = (f"{name}-{uuid4()}" for name in ("payment", "stock", "order"))

    bus: Bus

    @abstractmethod
    def open(self, *, handler_timeout: timedelta) -> AbstractAsyncContextManager[None]:
        """Opens the bus."""

    @abstractmethod
    async def put(self, participant: str, body: bytes, content_type: str | None) -> None:
        """Puts any bytes into a queue, as any client may."""

    @abstractmethod
    async def remove_queue(self, participant: str) -> None:
        """Removes a queue without the knowledge of the bus."""

    @abstractmethod
    async def all_dead_letters(self) -> list[DeadLetter]:
        """Reads the dead letters of all participants."""

    @property
    def topology(self) -> Topology:
        """Payment and stock subscribe to placed orders, and payment also to closed orders."""
        placed, closed = (self.order, "order-placed"), (self.order, "order-closed")
        return Topology(queues={self.payment: frozenset({placed, closed}), self.stock: frozenset({placed})})

    async def dead_letters(self) -> list[DeadLetter]:
        """Reads the dead letters of payment."""
        return [letter for letter in await self.all_dead_letters() if letter.participant == self.payment]

    def event(self, saga: str = "saga-1", number: int = 1, type: str = "order-closed") -> Event:  # noqa: A002
        """An event for the queue of payment."""
        return Event(
            id=f"{self.order}/{saga}/{number}",
            type=type,
            source=self.order,
            saga_id=saga,
            causation_id="the causing event",
            time=datetime.now(UTC),
            data={"number": number, "text": "Größe ☃", "nested": [1, 2.5, None, {"deep": True}]},
            traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )


@dataclass
class Recorder:
    """A recording handler."""

    events: list[Event]

    async def __call__(self, event: Event) -> None:
        self.events.append(event)


def recorder() -> Recorder:
    return Recorder([])


class BusContract:
    """A test for every sentence of the docstring of `Bus`."""

    async def test_every_subscriber_receives_an_event(self, broker: Broker) -> None:
        """When `publish` returns, the queue of every subscriber holds the unchanged event."""
        event, payment, stock = broker.event(type="order-placed"), recorder(), recorder()
        await broker.bus.publish(event)
        async with broker.bus.consume(broker.payment, payment), broker.bus.consume(broker.stock, stock):
            await until(lambda: bool(payment.events and stock.events))
        assert payment.events == [event]
        assert stock.events == [event]

    async def test_a_queue_receives_only_subscribed_events(self, broker: Broker) -> None:
        """An event without a subscription does not reach the participant."""
        stock = recorder()
        await broker.bus.publish(broker.event(number=1, type="order-closed"))
        await broker.bus.publish(broker.event(number=2, type="order-placed"))
        async with broker.bus.consume(broker.stock, stock):
            await until(lambda: bool(stock.events))
        assert [event.data["number"] for event in stock.events] == [2]

    async def test_an_event_may_be_published_again(self, broker: Broker) -> None:
        """The outcome of a failed publish is unknown: an event may be published again, also concurrently."""
        event, payment = broker.event(), recorder()
        await asyncio.gather(*(broker.bus.publish(event) for _ in range(5)))
        async with broker.bus.consume(broker.payment, payment):
            await until(lambda: len(payment.events) == 5)
        assert {event.id for event in payment.events} == {event.id}

    async def test_an_event_is_redelivered_until_its_handler_returns(self, broker: Broker) -> None:
        """A failed handler receives the event again; after the handler returned, no consumer does."""
        first, tries, later = broker.event(number=1), list[Event](), recorder()

        async def fails_twice(event: Event) -> None:
            tries.append(event)
            if len(tries) < 3:
                raise OSError("the disk is on fire")

        await broker.bus.publish(first)
        async with broker.bus.consume(broker.payment, fails_twice):
            await until(lambda: len(tries) == 3)
        await broker.bus.publish(broker.event(number=2))
        async with broker.bus.consume(broker.payment, later):
            await until(lambda: bool(later.events))

        assert tries == [first] * 3
        assert [event.data["number"] for event in later.events] == [2]
        assert await broker.dead_letters() == []

    async def test_events_of_a_saga_are_delivered_in_order(self, broker: Broker) -> None:
        """Events of a saga are handled in the order of their sequential publication."""
        payment = recorder()
        for number in range(100):
            await broker.bus.publish(broker.event(f"saga-{number % 3}", number))
        async with broker.bus.consume(broker.payment, payment):
            await until(lambda: len(payment.events) == 100)
        of_saga = defaultdict[str, list[object]](list)
        for event in payment.events:
            of_saga[event.saga_id].append(event.data["number"])
        assert dict(of_saga) == {f"saga-{saga}": list(range(saga, 100, 3)) for saga in range(3)}

    async def test_no_two_events_of_a_saga_are_handled_concurrently(self, broker: Broker) -> None:
        """Events of a saga wait for each other, also with several consumers; other sagas continue."""
        running, most, done = defaultdict[str, int](int), defaultdict[str, int](int), set[str]()

        async def slow(event: Event) -> None:
            for key in (event.saga_id, "all"):
                running[key] += 1
                most[key] = max(most[key], running[key])
            for _ in range(20):
                await asyncio.sleep(0)
            for key in (event.saga_id, "all"):
                running[key] -= 1
            done.add(event.id)

        for number in range(60):
            await broker.bus.publish(broker.event(f"saga-{number % 6}", number))
        async with broker.bus.consume(broker.payment, slow), broker.bus.consume(broker.payment, slow):
            await until(lambda: len(done) == 60)
        assert max(most[f"saga-{saga}"] for saga in range(6)) == 1
        assert most["all"] > 1

    async def test_a_waiting_saga_does_not_block_other_sagas(self, broker: Broker) -> None:
        """The queue handles other sagas while a handler of one saga waits."""
        gate, seen = asyncio.Event(), list[str]()

        async def waits_for_the_gate(event: Event) -> None:
            seen.append(f"{event.saga_id}/{event.data['number']}")
            if event.saga_id == "slow":
                await gate.wait()

        await broker.bus.publish(broker.event("slow", 1))
        await broker.bus.publish(broker.event("slow", 2))
        for number in range(10):
            await broker.bus.publish(broker.event(f"saga-{number}", number))
        async with broker.bus.consume(broker.payment, waits_for_the_gate):
            await until(lambda: len(seen) == 11)
            assert "slow/2" not in seen
            gate.set()
            await until(lambda: len(seen) == 12)

    async def test_the_next_consumer_takes_over(self, broker: Broker) -> None:
        """The next consumer receives the remaining events of the previous consumer."""
        first, second = recorder(), recorder()
        async with broker.bus.consume(broker.payment, first):
            await broker.bus.publish(broker.event(number=1))
            await until(lambda: bool(first.events))
            async with broker.bus.consume(broker.payment, second):
                pass
            await broker.bus.publish(broker.event(number=2))
            await until(lambda: len(first.events) == 2)
        await broker.bus.publish(broker.event(number=3))
        async with broker.bus.consume(broker.payment, second):
            await until(lambda: bool(second.events))
        assert [event.data["number"] for event in second.events] == [3]

    async def test_closing_waits_for_running_handlers(self, broker: Broker) -> None:
        """The context closes after the running handler has ended; waiting events stay in the queue."""
        started, gate, ended, later = asyncio.Event(), asyncio.Event(), list[object](), recorder()

        async def waits_for_the_gate(event: Event) -> None:
            started.set()
            await gate.wait()
            ended.append(event.data["number"])

        async def consume_until_started() -> None:
            async with broker.bus.consume(broker.payment, waits_for_the_gate):
                await started.wait()

        await broker.bus.publish(broker.event(number=1))
        await broker.bus.publish(broker.event(number=2))
        closing = asyncio.create_task(consume_until_started())
        await started.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        assert not closing.done()
        gate.set()
        await closing
        assert ended == [1]
        async with broker.bus.consume(broker.payment, later):
            await until(lambda: bool(later.events))
        assert [event.data["number"] for event in later.events] == [2]

    @pytest.mark.parametrize(
        ("body", "content_type", "reason"),
        [
            (NOT_JSON, CONTENT_TYPE, "not JSON"),
            (b"{}", CONTENT_TYPE, "is missing"),
            (b"hello", "text/plain", "content type is 'text/plain'"),
            (b"hello", None, "content type is None"),
            (b"x" * 300_000, CONTENT_TYPE, "300000 bytes"),
        ],
    )
    async def test_an_unreadable_message_becomes_a_dead_letter(
        self, broker: Broker, body: bytes, content_type: str | None, reason: str
    ) -> None:
        """The dead letter has the unchanged message and the reason, and the queue continues."""
        payment = recorder()
        await broker.put(broker.payment, body, content_type)
        await broker.bus.publish(broker.event())
        async with broker.bus.consume(broker.payment, payment):
            await until(lambda: bool(payment.events))
            await _until_dead_letters(broker, 1)
        (letter,) = await broker.dead_letters()
        assert (letter.body, letter.content_type) == (body, content_type)
        assert reason in letter.reason

    async def test_a_refused_event_becomes_a_dead_letter(self, broker: Broker) -> None:
        """A handler refuses an event once, with a reason; all sagas continue."""
        seen = list[object]()

        async def refuses_the_first(event: Event) -> None:
            seen.append(event.data["number"])
            if event.data["number"] == 1:
                raise DeadLetterError("unknown customer")

        first = broker.event(number=1)
        await broker.bus.publish(first)
        await broker.bus.publish(broker.event(number=2))
        async with broker.bus.consume(broker.payment, refuses_the_first):
            await until(lambda: len(seen) == 2)
            await _until_dead_letters(broker, 1)
        (letter,) = await broker.dead_letters()
        assert (letter.reason, letter.message_id) == ("unknown customer", first.id)
        assert decode(letter.body, letter.content_type) == first
        assert letter.headers["ce-correlationid"] == "saga-1"
        assert seen == [1, 2]

    async def test_an_event_that_always_fails_becomes_a_dead_letter(self, broker: Broker) -> None:
        """The event is delivered up to the limit; other sagas do not wait."""
        tries, others = list[Event](), recorder()

        async def fails_for_one_saga(event: Event) -> None:
            if event.saga_id == "poison":
                tries.append(event)
                raise ZeroDivisionError("by zero")
            await others(event)

        await broker.bus.publish(broker.event("poison", 1))
        for number in range(5):
            await broker.bus.publish(broker.event(f"saga-{number}", number))
        async with broker.bus.consume(broker.payment, fails_for_one_saga):
            await until(lambda: len(others.events) == 5)
            await _until_dead_letters(broker, 1)
        (letter,) = await broker.dead_letters()
        # A broker also counts a delivery that ended with its channel before the handler was called.
        assert 1 < len(tries) <= LIMIT + 1
        assert (
            letter.reason == "delivered 4 times without success; the last error: ZeroDivisionError: by zero"
        )

    async def test_a_cancelled_handler_has_failed(self, broker: Broker) -> None:
        """The cancellation of an awaited future does not end the consumer."""
        later = recorder()

        async def awaits_what_is_cancelled(event: Event) -> None:
            if event.saga_id == "cancelled":
                never = asyncio.get_running_loop().create_future()
                never.cancel()
                await never
            await later(event)

        await broker.bus.publish(broker.event("cancelled"))
        await broker.bus.publish(broker.event("fine"))
        async with broker.bus.consume(broker.payment, awaits_what_is_cancelled):
            await until(lambda: bool(later.events))
            await _until_dead_letters(broker, 1)
        assert "CancelledError" in (await broker.dead_letters())[0].reason

    async def test_a_handler_fails_at_its_timeout(self, new_broker: Broker) -> None:
        """The handler is cancelled at its timeout, and the queue continues."""
        broker = new_broker

        async def never_ends(event: Event) -> None:
            await asyncio.Event().wait()

        async with broker.open(handler_timeout=timedelta(milliseconds=50)):
            await broker.bus.declare(broker.topology)
            await broker.bus.publish(broker.event())
            async with broker.bus.consume(broker.payment, never_ends):
                await _until_dead_letters(broker, 1)
            assert "exceeded its timeout of 0.05 s" in (await broker.dead_letters())[0].reason

    async def test_an_event_without_a_queue_is_an_error(self, broker: Broker) -> None:
        """An event for a subscriber without a queue is never lost silently."""
        await broker.remove_queue(broker.payment)
        with pytest.raises(UnroutableError, match="queue"):
            await broker.bus.publish(broker.event())

    async def test_one_missing_queue_of_two_is_an_error(self, broker: Broker) -> None:
        """An existing queue of another subscriber does not hide a missing queue."""
        await broker.remove_queue(broker.stock)
        with pytest.raises(UnroutableError, match=broker.stock):
            await broker.bus.publish(broker.event(type="order-placed"))

    async def test_declaring_again_restores_a_missing_queue(self, broker: Broker) -> None:
        """Missing queues are created; existing queues keep their events."""
        payment = recorder()
        await broker.bus.publish(broker.event(number=1))
        await broker.remove_queue(broker.stock)
        await broker.bus.declare(broker.topology)
        await broker.bus.publish(broker.event(number=2, type="order-placed"))
        async with broker.bus.consume(broker.payment, payment):
            await until(lambda: len(payment.events) == 2)

    async def test_an_event_without_subscribers_is_published_without_an_error(self, broker: Broker) -> None:
        """The topology has no subscription for the event."""
        await broker.bus.publish(broker.event(type="order-archived"))
        await broker.bus.publish(broker.event().model_copy(update={"source": f"other-{uuid4()}"}))

    async def test_publish_and_consume_need_a_declared_topology(self, new_broker: Broker) -> None:
        """Without a topology, a lost event would be unnoticed."""
        async with new_broker.open(handler_timeout=timedelta(seconds=1)):
            with pytest.raises(UnroutableError, match="declare a topology before publishing"):
                await new_broker.bus.publish(new_broker.event())
            with pytest.raises(TopologyError, match="declare the topology first"):
                async with new_broker.bus.consume(new_broker.payment, recorder()):
                    pass

    async def test_topologies_are_merged(self, broker: Broker) -> None:
        """Each participant may declare its own subscriptions."""
        mail, shop = f"mail-{uuid4()}", recorder()
        more = Topology(queues={mail: frozenset({(broker.order, "order-archived")})})
        await broker.bus.declare(more)
        await broker.bus.publish(broker.event(type="order-archived"))
        await broker.bus.publish(broker.event())
        async with broker.bus.consume(mail, shop):
            await until(lambda: bool(shop.events))
        await broker.remove_queue(mail)

    @pytest.mark.parametrize("name", ["*", "#", "order.placed", "Order-Placed", "", "order placed"])
    async def test_invalid_names_are_refused(self, broker: Broker, name: str) -> None:
        """A pattern as a name would match events of other participants."""
        with pytest.raises(TopologyError, match="is not a valid name"):
            await broker.bus.declare(Topology(queues={broker.payment: frozenset({(broker.order, name)})}))

    async def test_an_unpublishable_event_is_refused(self, broker: Broker) -> None:
        """Every bus refuses the event, so an event of a test also works on a broker."""
        event = broker.event()
        with pytest.raises(ContractError, match="bytes"):
            await broker.bus.publish(event.model_copy(update={"data": {"large": "x" * 300_000}}))


async def _until_dead_letters(broker: Broker, count: int) -> None:
    async def are_there() -> bool:
        return len(await broker.dead_letters()) >= count

    await until(are_there)


class MemoryBroker(Broker):
    """The bus in memory, with access to the queues."""

    bus: MemoryBus

    def open(self, *, handler_timeout: timedelta) -> AbstractAsyncContextManager[None]:
        self.bus = MemoryBus(delivery_limit=LIMIT, handler_timeout=handler_timeout)
        return nullcontext()

    async def put(self, participant: str, body: bytes, content_type: str | None) -> None:
        self.bus._queues[participant].put(BrokerMessage(body=body, content_type=content_type))

    async def remove_queue(self, participant: str) -> None:
        del self.bus._queues[participant]

    async def all_dead_letters(self) -> list[DeadLetter]:
        return list(self.bus.dead_letters)


class RabbitBroker(Broker):
    """RabbitMQ, with a second connection for the actions of other clients."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    @asynccontextmanager
    async def open(self, *, handler_timeout: timedelta) -> AsyncIterator[None]:
        options = RabbitOptions(
            delivery_limit=LIMIT,
            handler_timeout=handler_timeout,
            first_retry_delay=timedelta(milliseconds=1),
            longest_retry_delay=timedelta(milliseconds=10),
        )
        async with RabbitBus(self.url, options=options) as self.bus:
            try:
                yield
            finally:
                for participant in (self.payment, self.stock):
                    await self.remove_queue(participant)

    bus: RabbitBus

    async def put(self, participant: str, body: bytes, content_type: str | None) -> None:
        async with await aio_pika.connect(self.url) as connection:
            channel = await connection.channel()
            message = aio_pika.Message(body, content_type=content_type)
            await channel.default_exchange.publish(message, f"{participant}.in")

    async def remove_queue(self, participant: str) -> None:
        async with await aio_pika.connect(self.url) as connection:
            channel = await connection.channel()
            await channel.queue_delete(f"{participant}.in")

    async def all_dead_letters(self) -> list[DeadLetter]:
        return await self.bus.read_dead_letters(limit=1000)


class TestMemoryBus(BusContract):
    @pytest.fixture
    def new_broker(self) -> Broker:
        return MemoryBroker()

    @pytest_asyncio.fixture
    async def broker(self, new_broker: Broker) -> AsyncIterator[Broker]:
        async with new_broker.open(handler_timeout=timedelta(seconds=60)):
            await new_broker.bus.declare(new_broker.topology)
            yield new_broker


class TestRabbitBus(BusContract):
    @pytest.fixture
    def new_broker(self, rabbit: RabbitMQNode) -> Broker:
        return RabbitBroker(rabbit.url)

    @pytest_asyncio.fixture
    async def broker(self, new_broker: Broker) -> AsyncIterator[Broker]:
        async with new_broker.open(handler_timeout=timedelta(seconds=60)):
            await new_broker.bus.declare(new_broker.topology)
            yield new_broker
