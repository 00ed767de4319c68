"""One set of steps, two styles: what the services remember of a saga does not say which one ran it."""

import io
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from rich.console import Console

from examples.demo.demo import orchestrated, play
from examples.order.scenarios import ORDERS, PAYMENTS, Scenario
from examples.stack.stack import SERVICES, Stack
from tests.unit.choreography.world import World, fence_rows

pytestmark = pytest.mark.asyncio(loop_scope="session")

ALIKE = [
    each
    for each in (*ORDERS, *PAYMENTS)
    # A cancellation may meet a step in different states; the choreographed payment is refused by a step.
    if each.disturb is None and each.name != "unsupported-currency"
]


def orchestrated_rows(folder: Path, order_id: str) -> dict[str, tuple[str, ...]]:
    """What stands behind the fences of the services that were asked over HTTP."""
    rows: dict[str, tuple[str, ...]] = {}
    for name in SERVICES:
        with closing(sqlite3.connect(f"file:{folder / name}.sqlite3?mode=ro", uri=True)) as db:
            rows |= {key: tuple(row) for key, *row in fence_rows(db) if order_id in key}
    return rows


@pytest.mark.parametrize("scenario", ALIKE, ids=lambda scenario: scenario.name)
async def test_both_styles_leave_the_same_rows_behind_every_fence(scenario: Scenario, stack: Stack) -> None:
    """Keys, operations, states, contents and answers are the same to the byte."""
    order_id = f"{secrets.token_hex(4)}-{scenario.name}"
    await play(scenario, orchestrated(stack), stack, order_id, Console(file=io.StringIO()))
    with World(seed=1) as world:
        world.begin(scenario, order_id)
        world.run()
        choreographed = world.rows()

    assert choreographed == orchestrated_rows(stack.settings.data_folder, order_id)
    assert choreographed
