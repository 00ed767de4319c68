"""What is committed is told, in order, and never forgotten before the broker has it (P7, P12, P15)."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from choreography import Database, Event, Failpoint, Relay
from choreography import _outbox as outbox
from examples.order import event_types as facts
from examples.order.services.shipping import SHIPPING
from tests.waiting import until

from .bus import SmallBus, types
from .facts import order, told

NEVER = timedelta(hours=1)
AT_ONCE = timedelta(milliseconds=1)
CHAIN = (facts.order_placed, facts.stock_reserved, facts.order_screened, facts.payment_authorized)


class Crash(BaseException):
    """The process died."""


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database.open(tmp_path / "db", schema=SHIPPING.schema) as database:
        yield database


async def store(database: Database, *events: Event) -> None:
    for event in events:
        await database.transact(lambda tx, event=event: outbox.add(tx, event))  # type: ignore[misc]


async def left(database: Database) -> list[str]:
    rows = await database.read(lambda tx: tx.execute("select type from saga_outbox order by seq").fetchall())
    return [name for (name,) in rows]


class WatchedRelay(Relay):
    """Counts how often it has looked at its outbox; then it publishes again at once, or waits."""

    looks = 0

    async def publish_due(self) -> int:
        published = await super().publish_due()
        self.looks += 1
        return published


async def test_the_events_of_a_saga_are_published_in_order_and_one_by_one(database: Database) -> None:
    """The next one waits until the broker has confirmed the one before; other sagas do not wait."""
    bus = SmallBus()
    for n in range(3):
        await store(database, *(told(fact, order(str(n))) for fact in CHAIN))
    relay = Relay(database, bus)
    assert [await relay.publish_due() for _ in range(5)] == [3, 3, 3, 3, 0]
    for n in range(3):
        assert types([each for each in bus.published if each.saga_id == f"order-{n}"]) == [
            fact.name for fact in CHAIN
        ]
    assert set(bus.most_at_once.values()) == {1}
    assert await left(database) == []


async def test_an_event_is_forgotten_only_after_it_is_confirmed(database: Database) -> None:
    """A crash between publishing and deleting publishes it again, with the same id."""

    def die(failpoint: Failpoint) -> None:
        assert failpoint is Failpoint.AFTER_PUBLISH
        raise Crash

    bus = SmallBus()
    await store(database, told(facts.shipment_created, order()))
    with pytest.raises(Crash):
        await Relay(database, bus, failpoint=die).publish_due()
    assert await left(database) == ["shipment-created"]
    assert await Relay(database, bus).publish_due() == 1
    assert await left(database) == []
    first, second = bus.published
    assert first == second


async def test_an_event_that_is_stored_twice_is_there_once(database: Database) -> None:
    """Its id says that it is the same."""
    await store(database, told(facts.shipment_created, order()), told(facts.shipment_created, order()))
    assert await left(database) == ["shipment-created"]


async def test_a_broker_that_is_away_is_waited_for(database: Database) -> None:
    """Nothing is lost, and everything is published once it is back, in order."""
    bus = SmallBus()
    bus.is_down = True
    relay = Relay(database, bus, poll=AT_ONCE, shortest_pause=AT_ONCE, longest_pause=AT_ONCE)
    await store(database, *(told(fact, order()) for fact in CHAIN))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(relay.run())
        await until(lambda: bool(bus.most_at_once))
        assert await left(database) == [fact.name for fact in CHAIN]
        bus.is_down = False
        await until(lambda: len(bus.published) == len(CHAIN))
        relay.stop()
    assert types(bus.published) == [fact.name for fact in CHAIN]


async def test_what_nobody_hears_is_kept_and_said_loudly(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """The saga waits with it, in order; other sagas go on (P8, P15)."""
    bus = SmallBus()
    bus.unroutable = {"stock-reserved"}
    await store(database, told(facts.stock_reserved, order("a")), told(facts.order_screened, order("a")))
    await store(database, told(facts.order_screened, order("b")))
    with caplog.at_level(logging.ERROR):
        while await Relay(database, bus).publish_due():
            pass
    assert [event.saga_id for event in bus.published] == ["order-b"]
    assert await left(database) == ["stock-reserved", "order-screened"]
    assert "stock-reserved" in caplog.text
    assert "order-a" in caplog.text
    attempts, reason = await database.read(
        lambda tx: tx.execute("select attempts, last_error from saga_outbox where attempts > 0").fetchone()
    )
    assert (attempts, reason) == (1, "UnroutableError: nobody hears 'stock-reserved'")


async def test_a_commit_wakes_the_relay(database: Database) -> None:
    """Nobody waits for the next look at the table."""
    bus = SmallBus()
    relay = WatchedRelay(database, bus, poll=NEVER)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(relay.run())
        await until(lambda: relay.looks > 0)
        await store(database, told(facts.shipment_created, order()))
        relay.wake()
        await until(lambda: bool(bus.published))
        relay.stop()


async def test_what_nobody_woke_it_for_is_found_all_the_same(database: Database) -> None:
    """A process that died after its commit told nobody; the next one looks by itself."""
    bus = SmallBus()
    relay = WatchedRelay(database, bus, poll=AT_ONCE)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(relay.run())
        await until(lambda: relay.looks > 0)
        await store(database, told(facts.shipment_created, order()))
        await until(lambda: bool(bus.published))
        relay.stop()


async def test_a_relay_that_stops_publishes_what_it_can(database: Database) -> None:
    """What was committed before the stop is told before it, if the broker is there."""
    bus = SmallBus()
    relay = Relay(database, bus, poll=NEVER)
    await store(database, *(told(fact, order()) for fact in CHAIN))
    relay.stop()
    await relay.run()
    assert len(bus.published) == len(CHAIN)


async def test_a_relay_stops_although_the_broker_is_away(database: Database) -> None:
    """What it cannot tell waits for the next start."""
    bus = SmallBus()
    bus.is_down = True
    relay = Relay(database, bus)
    await store(database, told(facts.shipment_created, order()))
    relay.stop()
    await relay.run()
    assert await left(database) == ["shipment-created"]


class SilentBus(SmallBus):
    """Never confirms anything."""

    is_asked = False

    async def publish(self, event: Event) -> None:
        self.is_asked = True
        await asyncio.Event().wait()


async def test_a_relay_stops_although_the_broker_does_not_answer(database: Database) -> None:
    """Its grace is for what it has begun, too; nobody knows what became of that, so it stays."""
    bus = SilentBus()
    relay = Relay(database, bus, grace=timedelta(milliseconds=20))
    await store(database, told(facts.shipment_created, order()))
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(relay.run())
        await until(lambda: bus.is_asked)
        relay.stop()
    assert await left(database) == ["shipment-created"]
