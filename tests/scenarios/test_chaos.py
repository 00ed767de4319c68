"""A hundred choreographed orders while services and the broker die, and everything is asked for twice."""

import asyncio
import random
import secrets
from collections.abc import AsyncIterator
from contextlib import closing

import httpx
import pytest
import pytest_asyncio

from examples.compare.measurement.invariants import end_state
from examples.compare.measurement.order_plan import Planned, plan
from examples.compare.measurement.run import WAITING_EVENTS, come_to_rest
from examples.stack.end_state import ending_of
from examples.stack.service_databases import Records
from examples.stack.stack import SERVICES, Stack
from examples.stack.styles import Choreographed
from workers import Settings

pytestmark = pytest.mark.asyncio(loop_scope="session")

ORDERS, DEATHS, SEED = 100, 10, 20261121
PATIENCE = 240
"""Seconds for everything, on a machine that is busy with other things."""


@pytest_asyncio.fixture(loop_scope="session")
async def own_stack(
    temporal_program: None, rabbitmq_program: None, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stack]:
    """Processes that nobody else needs."""
    settings = Settings(data_folder=tmp_path_factory.mktemp("chaos"))
    async with Stack(settings, task_queue=f"chaos-{secrets.token_hex(4)}") as running:
        yield running


async def test_nothing_is_lost_and_nothing_doubled_in_chaos(own_stack: Stack) -> None:
    """Every order ends as its data says, in every service; the outboxes are empty, the books balance."""
    dice = random.Random(SEED)
    orders = plan(ORDERS, seed=SEED)
    async with httpx.AsyncClient(trust_env=False) as http, asyncio.timeout(PATIENCE):
        with closing(Records(own_stack.databases)) as records:
            style = Choreographed(http, records, own_stack.urls)
            async with asyncio.TaskGroup() as tasks:
                deaths = tasks.create_task(_kill_services_and_broker(own_stack, dice))
                for order in orders:
                    tasks.create_task(_place_twice_and_wait(style, order, deaths))
            await come_to_rest(records)

            waiting = records.count(WAITING_EVENTS)
            doubled = records.count("select count(*) - count(distinct order_id) from customer_order")
    endings = {order.name: await ending_of(own_stack, order.name) for order in orders}

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


async def _kill_services_and_broker(stack: Stack, dice: random.Random) -> None:
    for death in range(DEATHS):
        name = dice.choice(list(SERVICES))
        stack.services[name].kill()
        stack.services[name].start()
        await stack.wait_for_service(name)
        if death == DEATHS // 2:
            await stack.kill_broker()
