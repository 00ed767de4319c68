"""The output of the demo and of the comparison fits a terminal of 80 columns, with every word in full."""

import io

import pytest
from rich.console import Console

from examples.compare.reporting.terminal_table import print_comparison
from examples.demo.demo import print_next_steps, summary_table
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


def test_the_demo_ends_with_three_next_steps(terminal: Console) -> None:
    """The Web UI with its address, the comparison, and the guide; each in a line of 80 columns."""
    print_next_steps("http://127.0.0.1:8233", terminal)

    lines = printed(terminal).split("Next\n")[1].splitlines()
    assert [line.split()[:2] for line in lines[:2]] == [["make", "dev"], ["make", "compare"]]
    assert "http://127.0.0.1:8233" in lines[0]
    assert lines[2].split()[0] == "docs/writing.md"
    assert len(lines) == 3
    assert max(map(len, lines)) <= COLUMNS
