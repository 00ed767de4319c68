"""Every scenario, in each style, over the end state of every service and the balance of the ledger."""

import io
import secrets
from contextlib import closing

import httpx
import pytest
from rich.console import Console

from examples.demo.demo import choreographed, orchestrated, play
from examples.order.scenarios import ORDERS, PAYMENTS, Scenario
from examples.stack.service_databases import Records
from examples.stack.stack import Stack
from tests.scenarios.history_replay import replay

pytestmark = pytest.mark.asyncio(loop_scope="session")

SCENARIOS = [*ORDERS, *PAYMENTS]


def named(scenario: Scenario) -> str:
    return scenario.name


@pytest.mark.parametrize("scenario", [s for s in SCENARIOS if s.style != "choreographed"], ids=named)
async def test_an_orchestrated_saga_ends_as_it_must_in_every_service(
    scenario: Scenario, stack: Stack
) -> None:
    """Status, effects, money and notices are those of the scenario, the books balance, and it replays."""
    order_id = f"{secrets.token_hex(4)}-{scenario.name}"

    outcome = await play(scenario, orchestrated(stack), stack, order_id, Console(file=io.StringIO()))

    assert outcome.complaints == ()
    await replay(stack.client, outcome.saga_id)


@pytest.mark.parametrize("scenario", [s for s in SCENARIOS if s.style != "orchestrated"], ids=named)
async def test_a_choreographed_saga_ends_as_it_must_in_every_service(
    scenario: Scenario, stack: Stack, rabbitmq_program: None
) -> None:
    """Status, effects, money and notices are the same without anybody who leads."""
    order_id = f"{secrets.token_hex(4)}-{scenario.name}"
    said = io.StringIO()

    async with httpx.AsyncClient(trust_env=False) as http:
        with closing(Records(stack.databases)) as records:
            teller = choreographed(stack, records, http)
            outcome = await play(scenario, teller, stack, order_id, Console(file=said))

    assert outcome.complaints == ()
    assert "hears:" in said.getvalue()
