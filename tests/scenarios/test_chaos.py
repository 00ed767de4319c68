"""A hundred choreographed orders, each sent twice, while services and the broker are killed."""

import asyncio
import random
import secrets
from collections.abc import AsyncIterator
from contextlib import closing

import httpx
import pytest
import pytest_asyncio

from examples.compare.measurement.invariants import classify_end
from examples.compare.measurement.load import OUTBOX_EVENTS, wait_until_drained
from examples.compare.measurement.order_plan import PlannedOrder, plan_orders
from examples.order.deployment import DEPLOYMENT, SERVICES
from examples.stack.end_state import read_end_state
from examples.stack.service_databases import ServiceDatabases
from examples.stack.stack import Stack
from examples.stack.styles import Choreographed
from workers import Settings

pytestmark = pytest.mark.asyncio(loop_scope="session")

ORDERS, KILLS, SEED = 100, 10, 20261121
TIMEOUT_SECONDS = 240
"""For all orders, on a busy machine."""


@pytest_asyncio.fixture(loop_scope="session")
async def own_stack(
    temporal_program: None, rabbitmq_program: None, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stack]:
    """Processes that no other test uses."""
    settings = Settings(data_folder=tmp_path_factory.mktemp("chaos"))
    async with Stack(settings, DEPLOYMENT, task_queue=f"chaos-{secrets.token_hex(4)}") as running:
        yield running


async def test_every_order_ends_as_planned_while_services_and_the_broker_are_killed(own_stack: Stack) -> None:
    """No order is lost or doubled in any service; the outboxes are empty, and the books balance."""
    dice = random.Random(SEED)
    orders = plan_orders(ORDERS, seed=SEED)
    async with httpx.AsyncClient(trust_env=False) as http, asyncio.timeout(TIMEOUT_SECONDS):
        with closing(ServiceDatabases(DEPLOYMENT.services, own_stack.databases)) as databases:
            style = Choreographed(http, databases, own_stack.urls, DEPLOYMENT)
            async with asyncio.TaskGroup() as tasks:
                kills = tasks.create_task(_kill_services_and_broker(own_stack, dice))
                for order in orders:
                    tasks.create_task(_start_twice_and_wait(style, order, kills))
            await wait_until_drained(databases)

            waiting = databases.count(OUTBOX_EVENTS)
            doubled = databases.count("select count(*) - count(distinct order_id) from customer_order")
    end_states = {order.name: await read_end_state(own_stack, order.name) for order in orders}

    expected = {order.name: "completed" if order.completes else "compensated" for order in orders}
    assert {name: classify_end(each) for name, each in end_states.items()} == expected
    assert (sum(waiting.values()), sum(doubled.values())) == (0, 0)
    assert {each.unbalanced for each in end_states.values()} == {()}
    assert {each.ledger for each in end_states.values()} == {0}
    assert all(each.reserved == each.shipped for each in end_states.values())
    assert all(len(set(each.notices)) == len(each.notices) for each in end_states.values())


async def _start_twice_and_wait(
    style: Choreographed, planned: PlannedOrder, kills: asyncio.Task[None]
) -> None:
    """Sends the order until the order is accepted, sends the order again, and waits for the end."""
    order = planned.build("")
    for _ in range(2):
        while True:
            try:
                saga_id = await style.start(order)
                break
            except httpx.TransportError:
                # The service is down, and the order may have arrived: the client sends the order again.
                await asyncio.wait([kills], timeout=0.1)
    await style.wait_until_ended(saga_id)


async def _kill_services_and_broker(stack: Stack, dice: random.Random) -> None:
    for kill in range(KILLS):
        name = dice.choice(list(SERVICES))
        stack.services[name].kill()
        stack.services[name].start()
        await stack.wait_for_service(name)
        if kill == KILLS // 2:
            await stack.kill_broker()
