"""The promises of a bus: one suite, kept by the bus in memory and by RabbitMQ."""

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
from choreography._cloudevents import CONTENT_TYPE, Message, decode
from tests.rabbitmq_node import RabbitMQNode
from tests.waiting import until

LIMIT = 3
NO_JSON = b"\xffnot json"


class Broker(ABC):
    """What the suite needs beside the bus itself. The names are its own, as a broker outlives a test."""

    def __init__(self) -> None:
        self.payment, self.stock, self.order = (f"{name}-{uuid4()}" for name in ("payment", "stock", "order"))

    bus: Bus

    @abstractmethod
    def open(self, *, handler_deadline: timedelta) -> AbstractAsyncContextManager[None]:
        """Makes the bus."""

    @abstractmethod
    async def put(self, participant: str, body: bytes, content_type: str | None) -> None:
        """Puts anything into a queue, as anybody may."""

    @abstractmethod
    async def remove_queue(self, participant: str) -> None:
        """Removes a queue behind the back of the bus."""

    @abstractmethod
    async def all_dead_letters(self) -> list[DeadLetter]:
        """What was put aside."""

    @property
    def topology(self) -> Topology:
        """Payment and stock hear of a placed order, and payment also of one that is closed."""
        placed, closed = (self.order, "order-placed"), (self.order, "order-closed")
        return Topology(queues={self.payment: frozenset({placed, closed}), self.stock: frozenset({placed})})

    async def dead_letters(self) -> list[DeadLetter]:
        """What was put aside of this test."""
        return [letter for letter in await self.all_dead_letters() if letter.participant == self.payment]

    def event(self, saga: str = "saga-1", number: int = 1, type: str = "order-closed") -> Event:  # noqa: A002
        """An event that payment hears."""
        return Event(
            id=f"{self.order}/{saga}/{number}",
            type=type,
            source=self.order,
            saga_id=saga,
            causation_id="what led to it",
            time=datetime.now(UTC),
            data={"number": number, "what": "Größe ☃", "nested": [1, 2.5, None, {"deep": True}]},
            traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )


@dataclass
class Heard:
    """A handler that notes what it gets."""

    events: list[Event]

    async def __call__(self, event: Event) -> None:
        self.events.append(event)


def heard() -> Heard:
    return Heard([])


class BusContract:
    """Every sentence of the docstring of `Bus`, as tests."""

    async def test_every_queue_that_hears_an_event_gets_it(self, broker: Broker) -> None:
        """When publish returns, every queue that hears the event has it, just as it was."""
        event, payment, stock = broker.event(type="order-placed"), heard(), heard()
        await broker.bus.publish(event)
        async with broker.bus.consume(broker.payment, payment), broker.bus.consume(broker.stock, stock):
            await until(lambda: bool(payment.events and stock.events))
        assert payment.events == [event]
        assert stock.events == [event]

    async def test_a_queue_gets_only_what_it_hears(self, broker: Broker) -> None:
        """An event that a participant does not react to does not reach it."""
        stock = heard()
        await broker.bus.publish(broker.event(number=1, type="order-closed"))
        await broker.bus.publish(broker.event(number=2, type="order-placed"))
        async with broker.bus.consume(broker.stock, stock):
            await until(lambda: bool(stock.events))
        assert [event.data["number"] for event in stock.events] == [2]

    async def test_what_is_published_again_has_the_same_id(self, broker: Broker) -> None:
        """Nobody knows what became of a publish that raised: it may be repeated, also while it goes on."""
        event, payment = broker.event(), heard()
        await asyncio.gather(*(broker.bus.publish(event) for _ in range(5)))
        async with broker.bus.consume(broker.payment, payment):
            await until(lambda: len(payment.events) == 5)
        assert {event.id for event in payment.events} == {event.id}

    async def test_an_event_comes_until_its_handler_returns(self, broker: Broker) -> None:
        """A handler that fails gets the event again; one that returned does not, nor does the next one."""
        first, tries, later = broker.event(number=1), list[Event](), heard()

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

    async def test_events_of_a_saga_come_in_order(self, broker: Broker) -> None:
        """Events of one saga that were published one after the other are handled in that order."""
        payment = heard()
        for number in range(100):
            await broker.bus.publish(broker.event(f"saga-{number % 3}", number))
        async with broker.bus.consume(broker.payment, payment):
            await until(lambda: len(payment.events) == 100)
        of_saga = defaultdict[str, list[object]](list)
        for event in payment.events:
            of_saga[event.saga_id].append(event.data["number"])
        assert dict(of_saga) == {f"saga-{saga}": list(range(saga, 100, 3)) for saga in range(3)}

    async def test_no_two_events_of_a_saga_are_handled_at_once(self, broker: Broker) -> None:
        """Events of a saga wait for each other, with several consumers too; other sagas go on."""
        at_work, most, done = defaultdict[str, int](int), defaultdict[str, int](int), set[str]()

        async def slow(event: Event) -> None:
            for who in (event.saga_id, "all"):
                at_work[who] += 1
                most[who] = max(most[who], at_work[who])
            for _ in range(20):
                await asyncio.sleep(0)
            for who in (event.saga_id, "all"):
                at_work[who] -= 1
            done.add(event.id)

        for number in range(60):
            await broker.bus.publish(broker.event(f"saga-{number % 6}", number))
        async with broker.bus.consume(broker.payment, slow), broker.bus.consume(broker.payment, slow):
            await until(lambda: len(done) == 60)
        assert max(most[f"saga-{saga}"] for saga in range(6)) == 1
        assert most["all"] > 1

    async def test_a_saga_that_waits_holds_nobody_up(self, broker: Broker) -> None:
        """One event of a saga at a time; the other sagas go on meanwhile."""
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
        """What one consumer left, the next one gets; nothing is lost between them."""
        first, second = heard(), heard()
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

    async def test_closing_waits_for_the_handlers_that_run(self, broker: Broker) -> None:
        """A handler that runs when the context closes ends first; what waited behind it is kept."""
        began, gate, ended, later = asyncio.Event(), asyncio.Event(), list[object](), heard()

        async def waits_for_the_gate(event: Event) -> None:
            began.set()
            await gate.wait()
            ended.append(event.data["number"])

        async def consume_until_begun() -> None:
            async with broker.bus.consume(broker.payment, waits_for_the_gate):
                await began.wait()

        await broker.bus.publish(broker.event(number=1))
        await broker.bus.publish(broker.event(number=2))
        closing = asyncio.create_task(consume_until_begun())
        await began.wait()
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
            (NO_JSON, CONTENT_TYPE, "not JSON"),
            (b"{}", CONTENT_TYPE, "is missing"),
            (b"hello", "text/plain", "content type is 'text/plain'"),
            (b"hello", None, "content type is None"),
            (b"x" * 300_000, CONTENT_TYPE, "300000 bytes"),
        ],
    )
    async def test_what_cannot_be_read_is_put_aside(
        self, broker: Broker, body: bytes, content_type: str | None, reason: str
    ) -> None:
        """It goes to the dead letters as it came, with its reason, and the queue goes on."""
        payment = heard()
        await broker.put(broker.payment, body, content_type)
        await broker.bus.publish(broker.event())
        async with broker.bus.consume(broker.payment, payment):
            await until(lambda: bool(payment.events))
            await _until_dead(broker, 1)
        (letter,) = await broker.dead_letters()
        assert (letter.body, letter.content_type) == (body, content_type)
        assert reason in letter.reason

    async def test_what_is_refused_is_put_aside(self, broker: Broker) -> None:
        """A handler refuses an event once, with a reason; its saga and the others go on."""
        seen = list[object]()

        async def refuses_the_first(event: Event) -> None:
            seen.append(event.data["number"])
            if event.data["number"] == 1:
                raise DeadLetterError("nobody knows this customer")

        first = broker.event(number=1)
        await broker.bus.publish(first)
        await broker.bus.publish(broker.event(number=2))
        async with broker.bus.consume(broker.payment, refuses_the_first):
            await until(lambda: len(seen) == 2)
            await _until_dead(broker, 1)
        (letter,) = await broker.dead_letters()
        assert (letter.reason, letter.message_id) == ("nobody knows this customer", first.id)
        assert decode(letter.body, letter.content_type) == first
        assert letter.headers["ce-correlationid"] == "saga-1"
        assert seen == [1, 2]

    async def test_what_fails_again_and_again_is_put_aside(self, broker: Broker) -> None:
        """A handler that always fails gets an event no oftener than the limit says; no other saga waits."""
        tries, others = list[Event](), heard()

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
            await _until_dead(broker, 1)
        (letter,) = await broker.dead_letters()
        # A broker also counts a delivery that ended with its channel, before a handler saw it.
        assert 1 < len(tries) <= LIMIT + 1
        assert (
            letter.reason == "delivered 4 times and never handled, the last time: ZeroDivisionError: by zero"
        )

    async def test_a_handler_that_is_cancelled_has_failed(self, broker: Broker) -> None:
        """What a handler awaits may be cancelled by somebody else; that does not end the consumer."""
        later = heard()

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
            await _until_dead(broker, 1)
        assert "CancelledError" in (await broker.dead_letters())[0].reason

    async def test_a_handler_that_takes_too_long_has_failed(self, new_broker: Broker) -> None:
        """It is cancelled at its deadline, and the queue goes on."""
        broker = new_broker

        async def never_ends(event: Event) -> None:
            await asyncio.Event().wait()

        async with broker.open(handler_deadline=timedelta(milliseconds=50)):
            await broker.bus.declare(broker.topology)
            await broker.bus.publish(broker.event())
            async with broker.bus.consume(broker.payment, never_ends):
                await _until_dead(broker, 1)
            assert "took longer than 0.05 s" in (await broker.dead_letters())[0].reason

    async def test_an_event_without_a_queue_is_an_error(self, broker: Broker) -> None:
        """An event that somebody should hear, and that has no queue, is never lost silently."""
        await broker.remove_queue(broker.payment)
        with pytest.raises(UnroutableError, match="queue"):
            await broker.bus.publish(broker.event())

    async def test_one_missing_queue_of_two_is_an_error(self, broker: Broker) -> None:
        """That somebody else gets the event does not hide who does not."""
        await broker.remove_queue(broker.stock)
        with pytest.raises(UnroutableError, match=broker.stock):
            await broker.bus.publish(broker.event(type="order-placed"))

    async def test_declaring_again_mends_it(self, broker: Broker) -> None:
        """What is missing is made; what is there stays as it is, with what is in it."""
        payment = heard()
        await broker.bus.publish(broker.event(number=1))
        await broker.remove_queue(broker.stock)
        await broker.bus.declare(broker.topology)
        await broker.bus.publish(broker.event(number=2, type="order-placed"))
        async with broker.bus.consume(broker.payment, payment):
            await until(lambda: len(payment.events) == 2)

    async def test_an_event_that_nobody_hears_is_no_error(self, broker: Broker) -> None:
        """The topology says that nobody reacts to it."""
        await broker.bus.publish(broker.event(type="order-archived"))
        await broker.bus.publish(broker.event().model_copy(update={"source": f"other-{uuid4()}"}))

    async def test_nothing_is_published_or_consumed_before_the_topology_is_known(
        self, new_broker: Broker
    ) -> None:
        """Without a topology, nobody could tell what is lost."""
        async with new_broker.open(handler_deadline=timedelta(seconds=1)):
            with pytest.raises(UnroutableError, match="no topology was declared"):
                await new_broker.bus.publish(new_broker.event())
            with pytest.raises(TopologyError, match="declare the topology first"):
                async with new_broker.bus.consume(new_broker.payment, heard()):
                    pass

    async def test_topologies_add_up(self, broker: Broker) -> None:
        """Each participant may declare its own part."""
        mail, shop = f"mail-{uuid4()}", heard()
        more = Topology(queues={mail: frozenset({(broker.order, "order-archived")})})
        await broker.bus.declare(more)
        await broker.bus.publish(broker.event(type="order-archived"))
        await broker.bus.publish(broker.event())
        async with broker.bus.consume(mail, shop):
            await until(lambda: bool(shop.events))
        await broker.remove_queue(mail)

    @pytest.mark.parametrize("name", ["*", "#", "order.placed", "Order-Placed", "", "order placed"])
    async def test_names_are_checked(self, broker: Broker, name: str) -> None:
        """A pattern as a name would hear what others are told."""
        with pytest.raises(TopologyError, match="is no name"):
            await broker.bus.declare(Topology(queues={broker.payment: frozenset({(broker.order, name)})}))

    async def test_what_cannot_travel_is_refused(self, broker: Broker) -> None:
        """On every bus, so that what works in a test works on a broker."""
        event = broker.event()
        with pytest.raises(ContractError, match="bytes"):
            await broker.bus.publish(event.model_copy(update={"data": {"large": "x" * 300_000}}))


async def _until_dead(broker: Broker, count: int) -> None:
    async def are_there() -> bool:
        return len(await broker.dead_letters()) >= count

    await until(are_there)


class MemoryBroker(Broker):
    """The bus in memory is its own broker."""

    bus: MemoryBus

    def open(self, *, handler_deadline: timedelta) -> AbstractAsyncContextManager[None]:
        self.bus = MemoryBus(delivery_limit=LIMIT, handler_deadline=handler_deadline)
        return nullcontext()

    async def put(self, participant: str, body: bytes, content_type: str | None) -> None:
        self.bus._queues[participant].put(Message(body=body, content_type=content_type))

    async def remove_queue(self, participant: str) -> None:
        del self.bus._queues[participant]

    async def all_dead_letters(self) -> list[DeadLetter]:
        return list(self.bus.dead_letters)


class RabbitBroker(Broker):
    """RabbitMQ, with a connection of its own to do what others might do."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    @asynccontextmanager
    async def open(self, *, handler_deadline: timedelta) -> AsyncIterator[None]:
        options = RabbitOptions(
            delivery_limit=LIMIT,
            handler_deadline=handler_deadline,
            retry_pause=timedelta(milliseconds=1),
            longest_retry_pause=timedelta(milliseconds=10),
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
        async with new_broker.open(handler_deadline=timedelta(seconds=60)):
            await new_broker.bus.declare(new_broker.topology)
            yield new_broker


class TestRabbitBus(BusContract):
    @pytest.fixture
    def new_broker(self, rabbit: RabbitMQNode) -> Broker:
        return RabbitBroker(rabbit.url)

    @pytest_asyncio.fixture
    async def broker(self, new_broker: Broker) -> AsyncIterator[Broker]:
        async with new_broker.open(handler_deadline=timedelta(seconds=60)):
            await new_broker.bus.declare(new_broker.topology)
            yield new_broker
