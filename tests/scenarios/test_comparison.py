"""The comparison of both styles on real servers: small, and with every promise held."""

import io
import json
import os

import pytest
from rich.console import Console
from rich.progress import Progress

from examples.compare.comparison import compare_on
from examples.compare.measurement.order_plan import plan
from examples.compare.measurement.run import Load
from examples.compare.reporting.html_page import page
from examples.compare.reporting.terminal_table import draw
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
    "wiring_lines",
    "wiring",
    "knows",
    "state_is_asked_at",
    "samples_ms",
}
SERVICES = {"order", "inventory", "payment", "shipping", "notification"}


async def test_both_styles_end_alike_and_keep_every_promise(stack: Stack) -> None:
    """The same 25 orders, five of them in trouble, end alike in every service; and all is counted."""
    if stack.broker is None:
        reason = "RabbitMQ is not installed: sudo apt-get install rabbitmq-server"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    load = Load(planned=plan(25, seed=7), concurrency=5, seed=7, alone=2, idle_seconds=0.5)
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
        for figure in ("throughput_per_s", "messages_per_saga", "database_writes_per_saga", "wiring_lines"):
            assert figures[figure] > 0, figure
        assert 0 < figures["recovery_s"] < 60
    assert set(comparison.styles["choreographed"].knows) == SERVICES
    draw(comparison, terminal)
    assert "identical" in page(comparison)
