"""Every scenario of the demo, over the end state of every service and the balance of the ledger."""

import io
import secrets

import pytest
from rich.console import Console

from examples.compare.demo import play
from examples.compare.scenarios import ORDERS, PAYMENTS, Scenario
from examples.compare.stack import Stack
from tests.scenarios.replaying import replay

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("scenario", [*ORDERS, *PAYMENTS], ids=lambda scenario: scenario.name)
async def test_a_saga_ends_as_it_must_in_every_service(scenario: Scenario, stack: Stack) -> None:
    """Status, effects, money and notices are those of the scenario, the books balance, and it replays."""
    outcome = await play(
        scenario, stack, f"{secrets.token_hex(4)}-{scenario.name}", Console(file=io.StringIO())
    )

    assert outcome.complaints == ()
    await replay(stack.client, outcome.workflow_id)
