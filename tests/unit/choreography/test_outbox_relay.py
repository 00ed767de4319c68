"""Committed events are published in order and deleted after their confirmation (P7, P12, P15)."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from choreography import Database, Event, build_schema
from choreography._backoff import Backoff
from choreography._runtime.outbox_relay import OutboxRelay, RelayOptions
from choreography._transaction import outbox
from choreography._transaction.failpoint import Failpoint
from examples.order import event_types as facts
from examples.order.services.shipping import SHIPPING
from tests.waiting import until

from .fixtures.fake_bus import FakeBus, types
from .fixtures.sample_events import order, order_event

NEVER = timedelta(hours=1)
AT_ONCE = timedelta(milliseconds=1)
IMPATIENT = RelayOptions(poll_interval=AT_ONCE, backoff=Backoff(first=AT_ONCE, longest=AT_ONCE))
CHAIN = (facts.order_placed, facts.stock_reserved, facts.order_screened, facts.payment_authorized)


class Crash(BaseException):
    """The process ends."""


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database.open(tmp_path / "db", schema=build_schema(SHIPPING)) as database:
        yield database


async def store(database: Database, *events: Event) -> None:
    for event in events:
        await database.transact(lambda tx, event=event: outbox.add(tx, event))  # type: ignore[misc]


async def stored_types(database: Database) -> list[str]:
    rows = await database.read(lambda tx: tx.execute("select type from saga_outbox order by seq").fetchall())
    return [name for (name,) in rows]


class CountingRelay(OutboxRelay):
    """Counts the reads of the outbox."""

    reads = 0

    async def publish_due(self) -> int:
        published = await super().publish_due()
        self.reads += 1
        return published


async def test_the_events_of_a_saga_are_published_in_order_one_at_a_time(database: Database) -> None:
    """The next event waits for the confirmation of the previous event; other sagas do not wait."""
    bus = FakeBus()
    for n in range(3):
        await store(database, *(order_event(event_type, order(str(n))) for event_type in CHAIN))
    relay = OutboxRelay(database, bus)
    assert [await relay.publish_due() for _ in range(5)] == [3, 3, 3, 3, 0]
    for n in range(3):
        assert types([each for each in bus.published if each.saga_id == f"order-{n}"]) == [
            event_type.name for event_type in CHAIN
        ]
    assert set(bus.most_concurrent.values()) == {1}
    assert await stored_types(database) == []


async def test_an_event_is_deleted_only_after_its_confirmation(database: Database) -> None:
    """After a crash between publishing and deleting, the event is published again with the same id."""

    def crash(failpoint: Failpoint) -> None:
        assert failpoint is Failpoint.AFTER_PUBLISH
        raise Crash

    bus = FakeBus()
    await store(database, order_event(facts.shipment_created, order()))
    with pytest.raises(Crash):
        await OutboxRelay(database, bus, on_failpoint=crash).publish_due()
    assert await stored_types(database) == ["shipment-created"]
    assert await OutboxRelay(database, bus).publish_due() == 1
    assert await stored_types(database) == []
    first, second = bus.published
    assert first == second


async def test_an_event_that_is_added_twice_is_stored_once(database: Database) -> None:
    """The id identifies the event."""
    await store(
        database, order_event(facts.shipment_created, order()), order_event(facts.shipment_created, order())
    )
    assert await stored_types(database) == ["shipment-created"]


async def test_the_relay_waits_for_an_unavailable_broker(database: Database) -> None:
    """No event is lost, and all events are published in order when the broker is back."""
    bus = FakeBus()
    bus.is_down = True
    relay = OutboxRelay(database, bus, options=IMPATIENT)
    await store(database, *(order_event(event_type, order()) for event_type in CHAIN))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(relay.run())
        await until(lambda: bool(bus.most_concurrent))
        assert await stored_types(database) == [event_type.name for event_type in CHAIN]
        bus.is_down = False
        await until(lambda: len(bus.published) == len(CHAIN))
        relay.stop()
    assert types(bus.published) == [event_type.name for event_type in CHAIN]


async def test_an_unroutable_event_is_kept_and_logged_as_an_error(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Later events of the saga wait in order; other sagas continue (P8, P15)."""
    bus = FakeBus()
    bus.unroutable = {"stock-reserved"}
    await store(
        database, order_event(facts.stock_reserved, order("a")), order_event(facts.order_screened, order("a"))
    )
    await store(database, order_event(facts.order_screened, order("b")))
    with caplog.at_level(logging.ERROR):
        while await OutboxRelay(database, bus).publish_due():
            pass
    assert [event.saga_id for event in bus.published] == ["order-b"]
    assert await stored_types(database) == ["stock-reserved", "order-screened"]
    assert "stock-reserved" in caplog.text
    assert "order-a" in caplog.text
    attempts, reason = await database.read(
        lambda tx: tx.execute("select attempts, last_error from saga_outbox where attempts > 0").fetchone()
    )
    assert (attempts, reason) == (1, "UnroutableError: no queue for 'stock-reserved'")


async def test_a_commit_wakes_the_relay(database: Database) -> None:
    """The event does not wait for the next poll."""
    bus = FakeBus()
    relay = CountingRelay(database, bus, options=RelayOptions(poll_interval=NEVER))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(relay.run())
        await until(lambda: relay.reads > 0)
        await store(database, order_event(facts.shipment_created, order()))
        relay.wake()
        await until(lambda: bool(bus.published))
        relay.stop()


async def test_the_relay_polls_for_events_without_a_wake(database: Database) -> None:
    """A crash after the commit leaves the event to the relay of the next process, without a wake."""
    bus = FakeBus()
    relay = CountingRelay(database, bus, options=IMPATIENT)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(relay.run())
        await until(lambda: relay.reads > 0)
        await store(database, order_event(facts.shipment_created, order()))
        await until(lambda: bool(bus.published))
        relay.stop()


async def test_a_stopping_relay_publishes_the_remaining_events(database: Database) -> None:
    """Events from before the stop are published if the broker is available."""
    bus = FakeBus()
    relay = OutboxRelay(database, bus, options=RelayOptions(poll_interval=NEVER))
    await store(database, *(order_event(event_type, order()) for event_type in CHAIN))
    relay.stop()
    await relay.run()
    assert len(bus.published) == len(CHAIN)


async def test_a_relay_stops_while_the_broker_is_unavailable(database: Database) -> None:
    """Unpublished events wait for the next start."""
    bus = FakeBus()
    bus.is_down = True
    relay = OutboxRelay(database, bus)
    await store(database, order_event(facts.shipment_created, order()))
    relay.stop()
    await relay.run()
    assert await stored_types(database) == ["shipment-created"]


class SilentBus(FakeBus):
    """Never confirms an event."""

    has_started = False

    async def publish(self, event: Event) -> None:
        self.has_started = True
        await asyncio.Event().wait()


async def test_a_relay_stops_while_the_broker_does_not_answer(database: Database) -> None:
    """The stop timeout also ends a running publish with an unknown outcome: the event stays."""
    bus = SilentBus()
    relay = OutboxRelay(database, bus, options=RelayOptions(stop_timeout=timedelta(milliseconds=20)))
    await store(database, order_event(facts.shipment_created, order()))
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(relay.run())
        await until(lambda: bus.has_started)
        relay.stop()
    assert await stored_types(database) == ["shipment-created"]
