"""The order saga on a real Temporal server: completed, and compensated."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sagas import Compensated, Completed, SagaPlugin, execute_saga
from temporalio.client import Client
from temporalio.worker import Worker
from workers import EmbeddedTemporal, TemporalOptions

from $package.saga import ACTIVITIES, TASK_QUEUE, Order, OrderSaga


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    """A client of a server of the test, and a worker."""
    options = TemporalOptions(port=0, ui_port=0)
    async with EmbeddedTemporal(tmp_path, options=options) as server:
        client = await Client.connect(server.address, plugins=[SagaPlugin()])
        async with Worker(
            client,
            task_queue=TASK_QUEUE,
            workflows=[OrderSaga],
            activities=ACTIVITIES,
        ):
            yield client


async def test_an_order_is_paid(client: Client) -> None:
    order = Order(item="lamp", card="4242")
    outcome = await execute_saga(
        client, OrderSaga.run, order, id="paid", task_queue=TASK_QUEUE
    )
    assert outcome == Completed("receipt for one lamp")


async def test_a_declined_card_releases_the_stock(client: Client) -> None:
    order = Order(item="lamp", card="0000")
    outcome = await execute_saga(
        client, OrderSaga.run, order, id="declined", task_queue=TASK_QUEUE
    )
    assert isinstance(outcome, Compensated)
    assert outcome.code == "card_declined"
