"""The comparison of both styles on real servers: small, with every figure and every invariant."""

import io
import json
import os

import pytest
from rich.console import Console
from rich.progress import Progress

from examples.compare.comparison import compare_on
from examples.compare.measurement.load import Load
from examples.compare.measurement.order_plan import plan_orders
from examples.compare.reporting.html_page import render_page
from examples.compare.reporting.terminal_table import print_comparison
from examples.stack.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

STYLE = {
    "conditions",
    "end_states",
    "latency_alone_ms",
    "acceptance_ms",
    "latency_ms",
    "throughput_per_s",
    "messages_per_saga",
    "messages_by_kind",
    "stored_per_saga",
    "database_writes_per_saga",
    "cpu_ms_per_saga",
    "processes",
    "recovery_s",
    "killed",
    "integration_lines",
    "integration_files",
    "dependencies",
    "status_sources",
    "samples_ms",
}
SERVICES = {"order", "inventory", "payment", "shipping", "notification"}


async def test_both_styles_end_every_order_in_the_same_state_and_every_invariant_holds(stack: Stack) -> None:
    """The same 25 orders, five of them with a fault or a refusal; every figure is measured."""
    if stack.broker is None:
        reason = "RabbitMQ is not installed: sudo apt-get install rabbitmq-server"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    load = Load(planned=plan_orders(25, seed=7), concurrency=5, seed=7, alone=2, idle_seconds=0.5)
    terminal = Console(file=io.StringIO(), width=80)

    comparison = await compare_on(stack, load, Progress(console=terminal, disable=True))

    assert [each for each in comparison.invariants if not each.held] == []
    assert comparison.identical_end_states
    written = json.loads(comparison.model_dump_json())
    assert set(written) == {"identical_end_states", "styles", "invariants"}
    assert set(written["styles"]) == {"orchestrated", "choreographed"}
    for figures in written["styles"].values():
        assert set(figures) == STYLE
        assert figures["end_states"] == {"compensated": 4, "completed": 21}
        assert figures["latency_ms"]["count"] == 25
        assert figures["latency_ms"]["failure_to_compensated"]["count"] == 4
        assert figures["latency_alone_ms"]["count"] == 2
        assert figures["cpu_ms_per_saga"].keys() > SERVICES
        positive = ("throughput_per_s", "messages_per_saga", "database_writes_per_saga", "integration_lines")
        for figure in positive:
            assert figures[figure] > 0, figure
        assert 0 < figures["recovery_s"] < 60
    assert set(comparison.styles["choreographed"].dependencies) == SERVICES
    print_comparison(comparison, terminal)
    assert "identical" in render_page(comparison)
