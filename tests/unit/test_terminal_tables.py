"""The tables of the demo and of the comparison fit a terminal of 80 columns, with every word in full."""

import io

import pytest
from rich.console import Console

from examples.compare.reporting.terminal_table import print_comparison
from examples.demo.demo import summary_table
from examples.demo.player import ScenarioResult
from examples.order.scenarios import ORDER_EFFECTS, ORDERS
from examples.payment.scenarios import PAYMENTS
from examples.stack.end_state import EndState
from tests.unit.sample_comparison import a_comparison

COLUMNS = 80
END_STATE = EndState(
    effects=ORDER_EFFECTS,
    notices=(),
    order="approved",
    reserved=3,
    shipped=3,
    captured=42_00,
    refunded=0,
    ledger=0,
    unbalanced=(),
)


@pytest.fixture
def terminal() -> Console:
    return Console(file=io.StringIO(), width=COLUMNS)


def printed(terminal: Console) -> str:
    assert isinstance(terminal.file, io.StringIO)
    return terminal.file.getvalue()


def test_the_summary_of_the_demo_fits_80_columns(terminal: Console) -> None:
    """Every scenario in every style, with the longest status and a two-digit number of seconds."""
    results = [
        ScenarioResult(
            scenario=scenario,
            style=style,
            saga_id="",
            status="compensated",
            end_state=END_STATE,
            seconds=17.2,
            violations=("a violation",),
        )
        for scenario in (*ORDERS, *PAYMENTS)
        for style in ("orchestrated", "choreographed")
    ]

    terminal.print(summary_table(results))

    lines = printed(terminal).splitlines()
    assert "…" not in printed(terminal)
    assert len(lines) == len(results) + 4
    assert {scenario.name.removeprefix("payment-") for scenario in (*ORDERS, *PAYMENTS)} <= {
        line.split()[0] for line in lines
    }


def test_the_table_of_the_comparison_fits_80_columns(terminal: Console) -> None:
    """Every metric in one line."""
    print_comparison(a_comparison(), terminal)

    assert "…" not in printed(terminal)
    assert "Latency under load, p95, ms" in printed(terminal)
    assert max(map(len, printed(terminal).splitlines())) <= COLUMNS
