"""Choreographed orders, each sent twice, while services and the broker are killed."""

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
from tests.sampling import Sampler
from workers import Settings

pytestmark = pytest.mark.asyncio(loop_scope="session")

SEED = 20261121
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


async def test_every_order_ends_as_planned_after_a_few_kills(stack: Stack) -> None:
    """P7 and P13: ten orders, while two services and the broker are killed."""
    await run_orders_with_kills(stack, orders=10, kills=2, seed=SEED)


@pytest.mark.sweep
async def test_every_order_ends_as_planned_after_many_kills(
    own_stack: Stack, sampler: Sampler, report: list[str]
) -> None:
    """P7 and P13: a hundred orders, while ten services and the broker are killed; the seed changes daily."""
    await run_orders_with_kills(own_stack, orders=100, kills=10, seed=sampler.seed)

    report.append(f"chaos with seed {sampler.seed}: 100 orders, 10 kills of services, 1 kill of the broker")


async def run_orders_with_kills(stack: Stack, *, orders: int, kills: int, seed: int) -> None:
    """No order is lost or doubled in any service; the outboxes are empty, and the books balance."""
    dice = random.Random(seed)
    planned_orders = plan_orders(orders, seed=seed)
    async with httpx.AsyncClient(trust_env=False) as http, asyncio.timeout(TIMEOUT_SECONDS):
        with closing(ServiceDatabases(DEPLOYMENT.services, stack.databases)) as databases:
            style = Choreographed(http, databases, stack.urls, DEPLOYMENT)
            async with asyncio.TaskGroup() as tasks:
                killing = tasks.create_task(_kill_services_and_broker(stack, dice, kills))
                for order in planned_orders:
                    tasks.create_task(_start_twice_and_wait(style, order, killing))
            await wait_until_drained(databases)

            waiting = databases.count(OUTBOX_EVENTS)
            doubled = databases.count("select count(*) - count(distinct order_id) from customer_order")
    end_states = {order.name: await read_end_state(stack, order.name) for order in planned_orders}

    expected = {order.name: "completed" if order.completes else "compensated" for order in planned_orders}
    assert {name: classify_end(each) for name, each in end_states.items()} == expected
    assert (sum(waiting.values()), sum(doubled.values())) == (0, 0)
    assert {each.unbalanced for each in end_states.values()} == {()}
    assert {each.ledger for each in end_states.values()} == {0}
    assert all(each.reserved == each.shipped for each in end_states.values())
    assert all(len(set(each.notices)) == len(each.notices) for each in end_states.values())


async def _start_twice_and_wait(
    style: Choreographed, planned: PlannedOrder, killing: asyncio.Task[None]
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
                await asyncio.wait([killing], timeout=0.1)
    await style.wait_until_ended(saga_id)


async def _kill_services_and_broker(stack: Stack, dice: random.Random, kills: int) -> None:
    for kill in range(kills):
        name = dice.choice(list(SERVICES))
        stack.services[name].kill()
        stack.services[name].start()
        await stack.wait_for_service(name)
        if kill == kills // 2:
            await stack.kill_broker()
