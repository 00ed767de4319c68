"""Choreographed orders while services and the broker are killed, and each order is placed twice."""

import asyncio
import random
import secrets
from collections.abc import AsyncIterator
from contextlib import closing

import httpx
import pytest
import pytest_asyncio

from examples.compare.endings import ending_of
from examples.compare.invariants import end_state
from examples.compare.measure import WAITING_EVENTS, come_to_rest
from examples.compare.orders import Planned, plan
from examples.compare.records import Records
from examples.compare.stack import SERVICES, Stack
from examples.compare.styles import Choreographed
from tests.sampling import Sampler
from workers import Settings

pytestmark = pytest.mark.asyncio(loop_scope="session")

SEED = 20261121
PATIENCE = 240
"""Seconds for everything, on a machine that is busy with other things."""


@pytest_asyncio.fixture(loop_scope="session")
async def own_stack(
    temporal_program: None, rabbitmq_program: None, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stack]:
    """Servers and services of this test alone."""
    settings = Settings(data_folder=tmp_path_factory.mktemp("chaos"))
    async with Stack(settings, task_queue=f"chaos-{secrets.token_hex(4)}") as running:
        yield running


async def test_a_few_kills_lose_and_double_nothing(stack: Stack) -> None:
    """P7 and P13: ten orders, while two services and the broker are killed."""
    await place_orders_in_chaos(stack, number=10, kills=2, seed=SEED)


@pytest.mark.sweep
async def test_many_kills_lose_and_double_nothing(
    own_stack: Stack, sampler: Sampler, report: list[str]
) -> None:
    """P7 and P13: a hundred orders, while ten services and the broker are killed; the seed changes daily."""
    await place_orders_in_chaos(own_stack, number=100, kills=10, seed=sampler.seed)

    report.append(f"chaos with seed {sampler.seed}: 100 orders, 10 kills of services, 1 kill of the broker")


async def place_orders_in_chaos(stack: Stack, *, number: int, kills: int, seed: int) -> None:
    """Every order ends as its data says, in every service; the outboxes are empty, the books balance."""
    dice = random.Random(seed)
    orders = plan(number, seed=seed)
    async with httpx.AsyncClient(trust_env=False) as http, asyncio.timeout(PATIENCE):
        with closing(Records(stack.databases)) as records:
            style = Choreographed(http, records, stack.urls)
            async with asyncio.TaskGroup() as tasks:
                deaths = tasks.create_task(_kill_services_and_broker(stack, dice, kills))
                for order in orders:
                    tasks.create_task(_place_twice_and_wait(style, order, deaths))
            await come_to_rest(records)

            waiting = records.count(WAITING_EVENTS)
            doubled = records.count("select count(*) - count(distinct order_id) from customer_order")
    endings = {order.name: await ending_of(stack, order.name) for order in orders}

    expected = {order.name: "completed" if order.completes else "compensated" for order in orders}
    assert {name: end_state(ending) for name, ending in endings.items()} == expected
    assert (sum(waiting.values()), sum(doubled.values())) == (0, 0)
    assert {ending.broken for ending in endings.values()} == {()}
    assert {ending.ledger for ending in endings.values()} == {0}
    assert all(ending.reserved == ending.shipped for ending in endings.values())
    assert all(len(set(ending.told)) == len(ending.told) for ending in endings.values())


async def _place_twice_and_wait(style: Choreographed, planned: Planned, deaths: asyncio.Task[None]) -> None:
    """Asks until it is accepted, then once more, and waits for the end."""
    order = planned.order("")
    for _ in range(2):
        while True:
            try:
                saga_id = await style.place(order)
                break
            except httpx.TransportError:
                # The service is dead just now: whoever cannot know asks again.
                await asyncio.wait([deaths], timeout=0.1)
    await style.until_ended(saga_id)


async def _kill_services_and_broker(stack: Stack, dice: random.Random, kills: int) -> None:
    for kill in range(kills):
        name = dice.choice(list(SERVICES))
        stack.services[name].kill()
        stack.services[name].start()
        await stack.wait_for_service(name)
        if kill == kills // 2:
            await stack.kill_broker()
