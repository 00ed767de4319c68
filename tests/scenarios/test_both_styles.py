"""One set of steps, two styles: the rows that a saga leaves in the services are the same in both styles."""

import io
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from rich.console import Console

from examples.demo.player import orchestrated, play
from examples.demo.scenario import Scenario
from examples.order.deployment import SERVICES
from examples.order.scenarios import ORDERS
from examples.payment.scenarios import PAYMENTS
from examples.stack.stack import Stack
from tests.unit.choreography.fixtures.simulated_world import SimulatedWorld, fence_rows

pytestmark = pytest.mark.asyncio(loop_scope="session")

COMPARABLE = [
    each
    for each in (*ORDERS, *PAYMENTS)
    # A cancellation may meet a step in different states; the choreographed payment is refused by a step.
    if each.disturb is None and each.name != "unsupported-currency"
]


def orchestrated_rows(folder: Path, order_id: str) -> dict[str, tuple[str, ...]]:
    """The fence rows of the services that the orchestrated saga has called over HTTP."""
    rows: dict[str, tuple[str, ...]] = {}
    for name in SERVICES:
        with closing(sqlite3.connect(f"file:{folder / name}.sqlite3?mode=ro", uri=True)) as db:
            rows |= {key: tuple(row) for key, *row in fence_rows(db) if order_id in key}
    return rows


@pytest.mark.parametrize("scenario", COMPARABLE, ids=lambda scenario: scenario.name)
async def test_both_styles_leave_the_same_rows_in_every_fence(scenario: Scenario, stack: Stack) -> None:
    """Keys, operations, states, contents and answers are the same to the byte."""
    order_id = f"{secrets.token_hex(4)}-{scenario.name}"
    await play(scenario, orchestrated(stack), stack, order_id, Console(file=io.StringIO()))
    with SimulatedWorld(seed=1) as world:
        world.start(scenario, order_id)
        world.run()
        choreographed_rows = world.rows()

    assert choreographed_rows == orchestrated_rows(stack.settings.data_folder, order_id)
    assert choreographed_rows
