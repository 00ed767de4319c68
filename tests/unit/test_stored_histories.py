"""Sagas that were recorded before a change are replayed by the code of today."""

from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from examples.order.messages import Order, ReserveStock, Shipment
from examples.order.saga import OrderSaga, create, reserve, ship
from sagas import Saga, SagaPlugin

STORED = sorted((Path(__file__).parents[1] / "histories" / "before_screening").glob("*.json"))


@workflow.defn(name="OrderSaga")
class ReserveBeforeCreate:
    """An edit that running sagas do not survive: two steps have changed places."""

    @workflow.run
    async def run(self, order: Order) -> Shipment:
        async with Saga() as saga:
            await saga.step(reserve, ReserveStock.of(order))
            await saga.step(create, order)
        raise AssertionError(ship)


def history_of(path: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(path.stem, path.read_text())


def test_there_are_stored_histories_of_each_kind() -> None:
    """Of an order that completed, and of those that were compensated after one, two and all steps."""
    assert len(STORED) == 4


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.name)
async def test_an_order_of_before_the_screening_is_replayed(path: Path) -> None:
    """Orders that were under way when the screening came go on without it."""
    replayer = Replayer(workflows=[OrderSaga], plugins=[SagaPlugin()])

    await replayer.replay_workflow(history_of(path))


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.name)
async def test_an_incompatible_edit_is_found(path: Path) -> None:
    """Had the edit not been compatible, the stored histories would have told."""
    replayer = Replayer(workflows=[ReserveBeforeCreate], plugins=[SagaPlugin()])

    with pytest.raises(NondeterminismError):
        await replayer.replay_workflow(history_of(path))
