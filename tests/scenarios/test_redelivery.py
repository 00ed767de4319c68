"""What a broker may do to events: bring each of them many times, and in any order; sagas end as they must.

The services are real processes on a real broker, and a courier stands between its exchanges and its queues.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from random import Random

import httpx
import pytest
import pytest_asyncio

from examples.order.scenarios import CANCELLED_TOLD, ORDER_TOLD, ORDERS, PAYMENTS, an_order
from examples.stack.end_state import COMPLETED, NOTHING, Ending, ending_of
from examples.stack.service_databases import Records
from examples.stack.stack import Stack
from examples.stack.styles import Choreographed
from tests.scenarios.delivery_control import TIMES, Courier, Delivery
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

SEEDS = (1, 2)
MOST_AT_ONCE = 3
SHUFFLED = {each.name: each for each in (*ORDERS, *PAYMENTS) if each.disturb is None}
"""Every story in which nobody kills anything; a cancellation has tests of its own here."""


@pytest_asyncio.fixture(loop_scope="session")
async def courier(stack: Stack, rabbitmq_program: None) -> AsyncIterator[Courier]:
    """Holds what is told from now on."""
    async with Courier(stack) as courier:
        yield courier


@pytest_asyncio.fixture(loop_scope="session")
async def style(stack: Stack) -> AsyncIterator[Choreographed]:
    """Places and cancels orders."""
    async with httpx.AsyncClient(trust_env=False) as http:
        with closing(Records(stack.databases)) as records:
            yield Choreographed(http, records, stack.urls)


@pytest.mark.parametrize("seed", SEEDS)
async def test_no_end_depends_on_how_often_and_in_which_order_events_come(
    stack: Stack, courier: Courier, style: Choreographed, seed: int
) -> None:
    """Each event comes five times while its saga runs, shuffled, and five times more after its end."""
    dice, run = Random(seed), secrets.token_hex(4)
    for name, scenario in SHUFFLED.items():
        await style.place(scenario.build(f"{run}-{name}"))

    await deliver_shuffled(courier, dice)

    assert overtaken(courier.delivered) > len(SHUFFLED)
    await check(courier, stack, run, seed)
    await courier.stand_aside()
    again = [event for event in courier.told.values() for _ in range(TIMES)]
    dice.shuffle(again)
    await asyncio.gather(*(courier.bus.publish(event) for event in again))
    await until(courier.is_at_rest, within=40)
    await check(courier, stack, run, seed)


async def test_five_deliveries_at_once_of_every_event_are_handled_once(
    stack: Stack, courier: Courier, style: Choreographed
) -> None:
    """Each event of an order follows itself four times, before anything that follows from it."""
    order_id = secrets.token_hex(6)
    await style.place(an_order()(order_id))

    await courier.collect()
    while courier.held:
        await courier.deliver(courier.held[0].event.type)

    ending = await ending_of(stack, order_id)
    assert (ending.effects, ending.told) == (COMPLETED, ORDER_TOLD)
    assert len(courier.delivered) == TIMES * len(courier.expected)
    await check_once(courier)


async def test_a_compensation_that_comes_before_its_action_keeps_it_from_having_an_effect(
    stack: Stack, courier: Courier, style: Choreographed
) -> None:
    """The order is cancelled before the inventory has heard of it, which then reserves nothing."""
    order_id = secrets.token_hex(6)
    saga_id = await style.place(an_order()(order_id))
    await courier.collect()
    await style.cancel(saga_id)
    await courier.collect()

    await courier.deliver("cancellation-requested")
    await courier.deliver("shipment-voided")
    assert courier.step(f"{saga_id}:reserve-stock") == "fenced"
    await courier.deliver("order-cancelled")
    await courier.deliver("order-placed")

    assert [str(each) for each in courier.held] == []
    assert courier.step(f"{saga_id}:reserve-stock") == "fenced"
    assert_cancelled(await ending_of(stack, order_id), captured=0)
    await check_once(courier)


async def test_a_success_that_comes_after_the_abort_changes_nothing(
    stack: Stack, courier: Courier, style: Choreographed
) -> None:
    """The money is given back before shipping hears that it was taken: no parcel, and no receipt."""
    order = an_order()(secrets.token_hex(6))
    saga_id = await style.place(order)
    await courier.collect()
    for told in ("order-placed", "stock-reserved", "order-screened", "payment-authorized"):
        await courier.deliver(told)
    await style.cancel(saga_id)
    await courier.collect()

    await courier.deliver("cancellation-requested")
    await courier.deliver("shipment-voided")
    assert courier.step(f"{saga_id}/payment:capture-payment") == "compensated"
    await courier.deliver("payment-captured")
    await courier.deliver("order-cancelled")

    assert [str(each) for each in courier.held] == []
    assert courier.step(f"{saga_id}:create-shipment") == "fenced"
    assert courier.step(f"{saga_id}/payment:send-receipt") == "fenced"
    assert_cancelled(await ending_of(stack, order.order_id), captured=order.amount)
    await check_once(courier)


async def deliver_shuffled(courier: Courier, dice: Random) -> None:
    """Delivers everything five times, some of each saga at a time, until nothing is told any more."""
    under_way: list[Delivery] = []
    while True:
        await courier.collect()
        under_way += [each for each in courier.take() for _ in range(TIMES)]
        if not under_way:
            return
        # Which of two services has told something first must not decide what is drawn.
        under_way.sort(key=lambda each: (each.event.saga_id, each.event.type, each.participant))
        chosen: list[Delivery] = []
        for saga_id in sorted({each.event.saga_id for each in under_way}):
            of_saga = [each for each in under_way if each.event.saga_id == saga_id]
            chosen += dice.sample(of_saga, min(len(of_saga), dice.randint(1, MOST_AT_ONCE)))
        for each in chosen:
            under_way.remove(each)
        await courier.hand_over(chosen)


def overtaken(delivered: Sequence[Delivery]) -> int:
    """How many deliveries came after one of an event that the same participant was told later."""
    latest = dict[tuple[str, str], datetime]()
    count = 0
    for each in delivered:
        lane, told_at = (each.participant, each.event.saga_id), each.event.time
        count += told_at < latest.get(lane, told_at)
        latest[lane] = max(told_at, latest.get(lane, told_at))
    return count


async def check(courier: Courier, stack: Stack, run: str, seed: int) -> None:
    """Every story has ended as it says."""
    endings = {name: await ending_of(stack, f"{run}-{name}") for name in SHUFFLED}
    found: Mapping[str, object] = {name: (each.effects, each.told) for name, each in endings.items()}
    expected = {name: (each.effects, tuple(sorted(each.told))) for name, each in SHUFFLED.items()}
    assert found == expected, f"seed {seed}"
    assert {(each.ledger, each.broken) for each in endings.values()} == {(0, ())}
    assert [name for name, each in endings.items() if each.reserved != each.shipped] == []
    kept = {name: each.captured - each.refunded for name, each in endings.items()}
    assert [name for name, amount in kept.items() if (amount > 0) != bool(SHUFFLED[name].effects)] == []
    await check_once(courier)


async def check_once(courier: Courier) -> None:
    """Every event was told once and stands once in the inbox of each who hears it; none is a dead letter."""
    told = len(courier.told)
    assert courier.emitted == told
    assert courier.handled == courier.expected
    assert await courier.dead_letters() == []


def assert_cancelled(ending: Ending, *, captured: int) -> None:
    """Nothing is left of the order, and what was taken was given back."""
    nothing = Ending(
        effects=NOTHING,
        told=CANCELLED_TOLD,
        order="cancelled",
        reserved=0,
        shipped=0,
        captured=captured,
        refunded=captured,
        ledger=0,
        broken=(),
    )
    assert ending == nothing
