"""Every scenario ends as expected in each style: end state of every service, balances, and replay."""

import io
import secrets
from contextlib import closing

import httpx
import pytest
from rich.console import Console

from examples.demo.player import choreographed, orchestrated, play
from examples.demo.scenario import Scenario
from examples.order.deployment import DEPLOYMENT
from examples.order.scenarios import ORDERS
from examples.payment.scenarios import PAYMENTS
from examples.stack.service_databases import ServiceDatabases
from examples.stack.stack import Stack
from tests.scenarios.history_replay import replay

pytestmark = pytest.mark.asyncio(loop_scope="session")

SCENARIOS = [*ORDERS, *PAYMENTS]


def name_of(scenario: Scenario) -> str:
    return scenario.name


@pytest.mark.parametrize("scenario", [s for s in SCENARIOS if s.style != "choreographed"], ids=name_of)
async def test_an_orchestrated_saga_ends_as_expected_in_every_service(
    scenario: Scenario, stack: Stack
) -> None:
    """Status, effects and notices are those of the scenario, the books balance, the history replays."""
    order_id = f"{secrets.token_hex(4)}-{scenario.name}"

    result = await play(scenario, orchestrated(stack), stack, order_id, Console(file=io.StringIO()))

    assert result.violations == ()
    await replay(stack.client, result.saga_id)


@pytest.mark.parametrize("scenario", [s for s in SCENARIOS if s.style != "orchestrated"], ids=name_of)
async def test_a_choreographed_saga_ends_as_expected_in_every_service(
    scenario: Scenario, stack: Stack, rabbitmq_program: None
) -> None:
    """Status, effects, money and notices are the same without an orchestrator."""
    order_id = f"{secrets.token_hex(4)}-{scenario.name}"
    output = io.StringIO()

    async with httpx.AsyncClient(trust_env=False) as http:
        with closing(ServiceDatabases(DEPLOYMENT.services, stack.databases)) as databases:
            observed = choreographed(stack, databases, http)
            result = await play(scenario, observed, stack, order_id, Console(file=output))

    assert result.violations == ()
    assert "consumes:" in output.getvalue()
