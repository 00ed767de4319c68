"""Controls the delivery of events: a test decides when, in which order and how often each event arrives."""

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
from choreography._declarations.names import exchange_name, queue_name
from choreography._messaging.cloudevents import decode, encode
from examples.compare.measurement.load import OUTBOX_EVENTS
from examples.compare.measurement.resources import PUBLISHED_EVENTS
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
"""The number of waiting and unacknowledged events; AMQP reports the number of waiting events only."""

PARTICIPANTS = frozenset(TOPOLOGY.queues)
DELIVERIES = 5
"""The number of deliveries of an event to each of its consumers."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The delivery of an event to one consumer."""

    participant: str
    event_id: str
    event: Event = field(compare=False)

    def __str__(self) -> str:
        return f"{self.event.type} to {self.participant}"


class DeliveryControl:
    """Holds every published event, and delivers each event on request, as often as a test asks for.

    The events go from the exchanges to a queue of this object instead of the queues of the services.
    Deliveries do not depend on time: `deliver` and `collect` wait until every delivered event is handled and
    every event that follows is published. When the context closes, the services' queues are bound again.

    Args:
        stack: The services and their broker.
    """

    def __init__(self, stack: Stack) -> None:
        assert stack.broker is not None
        self.held: list[Delivery] = []
        self.published: dict[str, Event] = {}
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
        return f"<DeliveryControl: unhandled: {', '.join(map(str, self._unhandled)) or 'none'}>"

    @property
    def published_count(self) -> int:
        """The number of events that the services have put into their outboxes since the context opened."""
        return self._count(PUBLISHED_EVENTS) - self._published_before

    @property
    def handled(self) -> Counter[tuple[str, str]]:
        """The inbox rows of the published events, by participant and event id."""
        rows: Counter[tuple[str, str]] = Counter()
        for database in self._databases.values():
            found = database.execute("select participant, event_id from saga_inbox").fetchall()
            rows.update((participant, event) for participant, event in found if event in self.published)
        return rows

    @property
    def expected(self) -> Counter[tuple[str, str]]:
        """One row per published event and consumer: the inbox rows that there must be."""
        return Counter(
            (participant, event.id)
            for event in self.published.values()
            for participant in TOPOLOGY.find_subscribers(event)
        )

    async def deliver(
        self, event_type: str, *, to: Iterable[str] = PARTICIPANTS, times: int = DELIVERIES
    ) -> None:
        """Delivers all held events of a type, and collects the events that follow."""
        names = frozenset(to)
        chosen = [each for each in self.held if each.event.type == event_type and each.participant in names]
        assert chosen, (
            f"no {event_type!r} to {sorted(names)} is held, only {[str(each) for each in self.held]}"
        )
        self.held = [each for each in self.held if each not in chosen]
        await self.put_into_queues(chosen * times)
        await self.collect()

    def take_held(self) -> list[Delivery]:
        """Removes and returns all held deliveries; the caller must deliver them."""
        taken, self.held = self.held, []
        return taken

    async def put_into_queues(self, deliveries: Iterable[Delivery]) -> None:
        """Puts events into the queues of their consumers, in the given order."""
        for each in deliveries:
            message = encode(each.event)
            envelope = aio_pika.Message(
                message.body,
                content_type=message.content_type,
                message_id=message.message_id,
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            )
            await self._channel.default_exchange.publish(envelope, queue_name(each.participant))
            self.delivered.append(each)
            self._unhandled.add(each)

    async def collect(self) -> None:
        """Waits until every delivered event is handled, and holds the events published since."""
        await until(self._is_handled)
        # An outbox is empty after the broker has confirmed its events, so the events are in the queue here.
        while (incoming := await self._held.get(fail=False, no_ack=True)) is not None:
            event = decode(incoming.body, incoming.content_type)
            if event.id not in self.published:
                self.published[event.id] = event
                self.held += [
                    Delivery(name, event.id, event) for name in sorted(TOPOLOGY.find_subscribers(event))
                ]

    async def restore_bindings(self) -> None:
        """Binds the queues of the services to the exchanges again."""
        await self.bus.declare(TOPOLOGY)
        for exchange, event_type in _consumed():
            await self._held.unbind(exchange, event_type)

    async def is_idle(self) -> bool:
        """Whether every outbox and every queue is empty, and no event is being handled."""
        if self._count(OUTBOX_EVENTS):
            return False
        assert self._stack.rabbit is not None
        unhandled = await self._stack.rabbit.control("eval", UNHANDLED)
        return int(unhandled) == 0 and not self._count(OUTBOX_EVENTS)

    async def dead_letters(self) -> list[str]:
        """Returns the reasons of the dead letters among the published events."""
        letters = await self.bus.read_dead_letters(limit=1000)
        return [letter.reason for letter in letters if letter.message_id in self.published]

    def step_state(self, key: str) -> str | None:
        """Returns the state of the step with an idempotency key; `None` for an unknown key."""
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
        await until(self.is_idle)
        self._published_before = self._count(PUBLISHED_EVENTS)
        connection = await self._exit.enter_async_context(await aio_pika.connect(self._url))
        self._channel = await connection.channel()
        self._held = await self._channel.declare_queue(exclusive=True)
        self._exit.push_async_callback(self.restore_bindings)
        await self._redirect_bindings()

    async def _redirect_bindings(self) -> None:
        for exchange, event_type in _consumed():
            await self._held.bind(exchange, event_type)
        for participant, consumed in TOPOLOGY.queues.items():
            queue = await self._channel.get_queue(queue_name(participant), ensure=False)
            for source, event_type in consumed:
                await queue.unbind(exchange_name(source), event_type)

    def _is_handled(self) -> bool:
        self._unhandled = {each for each in self._unhandled if not self._is_in_inbox(each)}
        # In this order: following events are in the outbox as soon as the event is in the inbox.
        return not self._unhandled and not self._count(OUTBOX_EVENTS)

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


def _consumed() -> set[tuple[str, str]]:
    """Returns every exchange with every consumed event type on it."""
    return {
        (exchange_name(source), event_type)
        for consumed in TOPOLOGY.queues.values()
        for source, event_type in consumed
    }
