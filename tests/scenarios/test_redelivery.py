"""A broker may deliver each event many times and in any order; every saga still ends as expected.

The services are real processes on a real broker; the tests control the delivery of each event.
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

from examples.order.deployment import DEPLOYMENT
from examples.order.scenarios import CANCELLED_NOTICES, ORDER_EFFECTS, ORDER_NOTICES, ORDERS, an_order
from examples.payment.scenarios import PAYMENTS
from examples.stack.end_state import NO_EFFECTS, EndState, read_end_state
from examples.stack.service_databases import ServiceDatabases
from examples.stack.stack import Stack
from examples.stack.styles import Choreographed
from tests.scenarios.delivery_control import DELIVERIES, Delivery, DeliveryControl
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

SEEDS = (1, 2)
MAX_CONCURRENT = 3
SHUFFLED = {each.name: each for each in (*ORDERS, *PAYMENTS) if each.disturb is None}
"""Every scenario without a kill or a cancellation; tests below cancel at chosen moments."""


@pytest_asyncio.fixture(loop_scope="session")
async def control(stack: Stack, rabbitmq_program: None) -> AsyncIterator[DeliveryControl]:
    """Holds every event published from now on."""
    async with DeliveryControl(stack) as control:
        yield control


@pytest_asyncio.fixture(loop_scope="session")
async def style(stack: Stack) -> AsyncIterator[Choreographed]:
    """Starts and cancels choreographed orders."""
    async with httpx.AsyncClient(trust_env=False) as http:
        with closing(ServiceDatabases(DEPLOYMENT.services, stack.databases)) as databases:
            yield Choreographed(http, databases, stack.urls, DEPLOYMENT)


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_end_state_is_independent_of_the_number_and_order_of_deliveries(
    stack: Stack, control: DeliveryControl, style: Choreographed, seed: int
) -> None:
    """Each event arrives five times while its saga runs, shuffled, and five times more after its end."""
    dice, run = Random(seed), secrets.token_hex(4)
    for name, scenario in SHUFFLED.items():
        await style.start(scenario.build(f"{run}-{name}"))

    await deliver_shuffled(control, dice)

    assert count_overtaken(control.delivered) > len(SHUFFLED)
    await check_end_states(control, stack, run, seed)
    await control.restore_bindings()
    again = [event for event in control.published.values() for _ in range(DELIVERIES)]
    dice.shuffle(again)
    await asyncio.gather(*(control.bus.publish(event) for event in again))
    await until(control.is_idle, within=40)
    await check_end_states(control, stack, run, seed)


async def test_five_concurrent_deliveries_of_every_event_are_handled_once(
    stack: Stack, control: DeliveryControl, style: Choreographed
) -> None:
    """Each event of an order is repeated four times, before any event that follows from the event."""
    order_id = secrets.token_hex(6)
    await style.start(an_order()(order_id))

    await control.collect()
    while control.held:
        await control.deliver(control.held[0].event.type)

    end_state = await read_end_state(stack, order_id)
    assert (end_state.effects, end_state.notices) == (ORDER_EFFECTS, ORDER_NOTICES)
    assert len(control.delivered) == DELIVERIES * len(control.expected)
    await check_handled_once(control)


async def test_a_compensation_before_its_action_prevents_the_effect(
    stack: Stack, control: DeliveryControl, style: Choreographed
) -> None:
    """The order is cancelled before the inventory consumes the order, and the inventory reserves nothing."""
    order_id = secrets.token_hex(6)
    saga_id = await style.start(an_order()(order_id))
    await control.collect()
    await style.cancel(saga_id)
    await control.collect()

    await control.deliver("cancellation-requested")
    await control.deliver("shipment-voided")
    assert control.step_state(f"{saga_id}:reserve-stock") == "voided"
    await control.deliver("order-cancelled")
    await control.deliver("order-placed")

    assert [str(each) for each in control.held] == []
    assert control.step_state(f"{saga_id}:reserve-stock") == "voided"
    check_cancelled(await read_end_state(stack, order_id), captured=0)
    await check_handled_once(control)


async def test_a_success_after_the_cancellation_changes_nothing(
    stack: Stack, control: DeliveryControl, style: Choreographed
) -> None:
    """The capture is refunded before shipping consumes its event: no parcel and no receipt follow."""
    order = an_order()(secrets.token_hex(6))
    saga_id = await style.start(order)
    await control.collect()
    for event_type in ("order-placed", "stock-reserved", "order-screened", "payment-authorized"):
        await control.deliver(event_type)
    await style.cancel(saga_id)
    await control.collect()

    await control.deliver("cancellation-requested")
    await control.deliver("shipment-voided")
    assert control.step_state(f"{saga_id}/payment:capture-payment") == "compensated"
    await control.deliver("payment-captured")
    await control.deliver("order-cancelled")

    assert [str(each) for each in control.held] == []
    assert control.step_state(f"{saga_id}:create-shipment") == "voided"
    assert control.step_state(f"{saga_id}/payment:send-receipt") == "voided"
    check_cancelled(await read_end_state(stack, order.order_id), captured=order.amount)
    await check_handled_once(control)


async def deliver_shuffled(control: DeliveryControl, dice: Random) -> None:
    """Delivers each event five times, some events of each saga at a time, until no event follows."""
    undelivered: list[Delivery] = []
    while True:
        await control.collect()
        undelivered += [each for each in control.take_held() for _ in range(DELIVERIES)]
        if not undelivered:
            return
        # The dice must not depend on which of two services has published first.
        undelivered.sort(key=lambda each: (each.event.saga_id, each.event.type, each.participant))
        chosen: list[Delivery] = []
        for saga_id in sorted({each.event.saga_id for each in undelivered}):
            of_saga = [each for each in undelivered if each.event.saga_id == saga_id]
            chosen += dice.sample(of_saga, min(len(of_saga), dice.randint(1, MAX_CONCURRENT)))
        for each in chosen:
            undelivered.remove(each)
        await control.put_into_queues(chosen)


def count_overtaken(delivered: Sequence[Delivery]) -> int:
    """Counts the deliveries that follow a younger event of the same saga to the same participant."""
    latest = dict[tuple[str, str], datetime]()
    count = 0
    for each in delivered:
        queue, published_at = (each.participant, each.event.saga_id), each.event.time
        count += published_at < latest.get(queue, published_at)
        latest[queue] = max(published_at, latest.get(queue, published_at))
    return count


async def check_end_states(control: DeliveryControl, stack: Stack, run: str, seed: int) -> None:
    """Every scenario has ended as expected."""
    end_states = {name: await read_end_state(stack, f"{run}-{name}") for name in SHUFFLED}
    found: Mapping[str, object] = {name: (each.effects, each.notices) for name, each in end_states.items()}
    expected = {name: (each.effects, tuple(sorted(each.notices))) for name, each in SHUFFLED.items()}
    assert found == expected, f"seed {seed}"
    assert {(each.ledger, each.unbalanced) for each in end_states.values()} == {(0, ())}
    assert [name for name, each in end_states.items() if each.reserved != each.shipped] == []
    paid = {name: each.captured - each.refunded for name, each in end_states.items()}
    assert [name for name, amount in paid.items() if (amount > 0) != bool(SHUFFLED[name].effects)] == []
    await check_handled_once(control)


async def check_handled_once(control: DeliveryControl) -> None:
    """Every event is published once and in the inbox of each consumer once; none is a dead letter."""
    assert control.published_count == len(control.published)
    assert control.handled == control.expected
    assert await control.dead_letters() == []


def check_cancelled(end_state: EndState, *, captured: int) -> None:
    """No effect of the order is left, and the captured amount is refunded."""
    assert end_state == EndState(
        effects=NO_EFFECTS,
        notices=CANCELLED_NOTICES,
        order="cancelled",
        reserved=0,
        shipped=0,
        captured=captured,
        refunded=captured,
        ledger=0,
        unbalanced=(),
    )
