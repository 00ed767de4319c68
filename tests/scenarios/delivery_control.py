"""A courier between the exchanges and the services' queues: what is told is delivered when a test says so."""

import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import aio_pika

from choreography import Event, RabbitBus
from choreography._cloudevents import decode, encode
from choreography._rabbit_layout import exchange_of, queue_of
from examples.compare.measurement.run import TOLD_EVENTS, WAITING_EVENTS
from examples.order.deployment import TOPOLOGY
from examples.stack.stack import Stack
from tests.waiting import until

UNHANDLED = """
IsIncoming = fun(Queue) -> lists:suffix(".in", binary_to_list(element(4, amqqueue:get_name(Queue)))) end,
Count = fun(Queue) ->
  {ok, {_, Total}, _} = ra:leader_query(amqqueue:get_pid(Queue), fun rabbit_fifo:query_messages_total/1),
  Total
end,
lists:sum([Count(Queue) || Queue <- rabbit_amqqueue:list(), IsIncoming(Queue)]).
"""
"""How many events wait in the queues or are being handled; AMQP tells only of those that wait."""

PARTICIPANTS = frozenset(TOPOLOGY.queues)
TIMES = 5
"""How often an event is delivered to each participant that hears it."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to one participant."""

    participant: str
    event_id: str
    event: Event = field(compare=False)

    def __str__(self) -> str:
        return f"{self.event.type} to {self.participant}"


class Courier:
    """Holds every event that a service tells, and delivers it when, to whom and as often as it is told to.

    What happens between two deliveries does not depend on time: the next one is made when all that was
    delivered is handled, and all that follows from it is told. When the context closes, the queues are
    bound again to the exchanges.

    Args:
        stack: The services, and the broker that they use.
    """

    def __init__(self, stack: Stack) -> None:
        assert stack.broker is not None
        self.held: list[Delivery] = []
        self.told: dict[str, Event] = {}
        self.delivered: list[Delivery] = []
        self._stack, self._url = stack, stack.broker
        self._unhandled: set[Delivery] = set()
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._exit.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exit.aclose()

    def __repr__(self) -> str:
        return f"<Courier: not handled: {', '.join(map(str, self._unhandled)) or 'nothing'}>"

    @property
    def emitted(self) -> int:
        """How many events the services have put into their outboxes since the courier came."""
        return self._count(TOLD_EVENTS) - self._emitted

    @property
    def handled(self) -> Counter[tuple[str, str]]:
        """Which event stands in whose inbox, of those that were told here."""
        rows: Counter[tuple[str, str]] = Counter()
        for database in self._databases.values():
            found = database.execute("select participant, event_id from saga_inbox").fetchall()
            rows.update((participant, event) for participant, event in found if event in self.told)
        return rows

    @property
    def expected(self) -> Counter[tuple[str, str]]:
        """Every event that was told, once for each participant that hears it."""
        return Counter(
            (participant, event.id)
            for event in self.told.values()
            for participant in TOPOLOGY.who_hears(event)
        )

    async def deliver(self, event_type: str, *, to: Iterable[str] = PARTICIPANTS, times: int = TIMES) -> None:
        """Delivers all held events of a type, and collects what is told in consequence."""
        names = frozenset(to)
        chosen = [each for each in self.held if each.event.type == event_type and each.participant in names]
        assert chosen, (
            f"no {event_type!r} to {sorted(names)} is held, only {[str(each) for each in self.held]}"
        )
        self.held = [each for each in self.held if each not in chosen]
        await self.hand_over(chosen * times)
        await self.collect()

    def take(self) -> list[Delivery]:
        """What is held, which from now on is the caller's to deliver."""
        taken, self.held = self.held, []
        return taken

    async def hand_over(self, deliveries: Iterable[Delivery]) -> None:
        """Puts events into the queues, in this order."""
        for each in deliveries:
            message = encode(each.event)
            envelope = aio_pika.Message(
                message.body,
                content_type=message.content_type,
                message_id=message.message_id,
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            )
            await self._channel.default_exchange.publish(envelope, queue_of(each.participant))
            self.delivered.append(each)
            self._unhandled.add(each)

    async def collect(self) -> None:
        """Waits until everything that was handed over is handled, and holds what was told since."""
        await until(self._is_handled)
        # An outbox is empty when the broker has what was in it, so it is here.
        while (incoming := await self._held.get(fail=False, no_ack=True)) is not None:
            event = decode(incoming.body, incoming.content_type)
            if event.id not in self.told:
                self.told[event.id] = event
                self.held += [Delivery(name, event.id, event) for name in sorted(TOPOLOGY.who_hears(event))]

    async def stand_aside(self) -> None:
        """Lets the exchanges deliver to the services again."""
        await self.bus.declare(TOPOLOGY)
        for exchange, event_type in _heard():
            await self._held.unbind(exchange, event_type)

    async def is_at_rest(self) -> bool:
        """Whether no outbox and no queue holds anything, and nothing is being handled."""
        if self._count(WAITING_EVENTS):
            return False
        assert self._stack.rabbit is not None
        unhandled = await self._stack.rabbit.control("eval", UNHANDLED)
        return int(unhandled) == 0 and not self._count(WAITING_EVENTS)

    async def dead_letters(self) -> list[str]:
        """Why events that were told here were put aside."""
        letters = await self.bus.read_dead_letters(limit=1000)
        return [letter.reason for letter in letters if letter.message_id in self.told]

    def step(self, key: str) -> str | None:
        """What became of the action under a key."""
        for database in self._databases.values():
            for (state,) in database.execute("select state from saga_step where key = ?", (key,)):
                return str(state)
        return None

    async def _start(self) -> None:
        self._databases = {
            name: self._exit.enter_context(closing(_open(file)))
            for name, file in self._stack.databases.items()
        }
        self.bus = await self._exit.enter_async_context(RabbitBus(self._url))
        await until(self.is_at_rest)
        self._emitted = self._count(TOLD_EVENTS)
        connection = await self._exit.enter_async_context(await aio_pika.connect(self._url))
        self._channel = await connection.channel()
        self._held = await self._channel.declare_queue(exclusive=True)
        self._exit.push_async_callback(self.stand_aside)
        await self._stand_between()

    async def _stand_between(self) -> None:
        for exchange, event_type in _heard():
            await self._held.bind(exchange, event_type)
        for participant, heard in TOPOLOGY.queues.items():
            queue = await self._channel.get_queue(queue_of(participant), ensure=False)
            for source, event_type in heard:
                await queue.unbind(exchange_of(source), event_type)

    def _is_handled(self) -> bool:
        self._unhandled = {each for each in self._unhandled if not self._is_in_inbox(each)}
        # In this order: what follows from an event is in the outbox when the event is in the inbox.
        return not self._unhandled and not self._count(WAITING_EVENTS)

    def _is_in_inbox(self, delivery: Delivery) -> bool:
        row = self._databases[delivery.participant].execute(
            "select 1 from saga_inbox where participant = ? and event_id = ?",
            (delivery.participant, delivery.event.id),
        )
        return row.fetchone() is not None

    def _count(self, statement: str) -> int:
        rows = [database.execute(statement).fetchone() for database in self._databases.values()]
        return sum(int(row[0]) for row in rows if row)


def _open(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, isolation_level=None)


def _heard() -> set[tuple[str, str]]:
    """Every exchange with every type of event on it that somebody hears."""
    return {
        (exchange_of(source), event_type)
        for heard in TOPOLOGY.queues.values()
        for source, event_type in heard
    }
