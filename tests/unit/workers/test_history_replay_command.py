"""`sagas histories replay` reports differences and unreadable recordings in sentences, without tracebacks."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.histories.folders import CURRENT

ROOT = Path(__file__).parents[3]
STORED = CURRENT / "examples"

HEAD = """
from temporalio import workflow
with workflow.unsafe.imports_passed_through():
    from datetime import timedelta
    from examples.order.messages import Order, ReserveStock, ScreenOrder, Shipment
    from examples.order.saga import create, reserve, screen
    from sagas import Saga

NUMBER = 7

@workflow.defn(name="OrderSaga")
class Changed:
    @workflow.run
    async def run(self, order: Order) -> Shipment:
"""


@pytest.fixture
def replay(tmp_path: Path) -> Callable[..., tuple[int, list[str], str]]:
    """Runs the command in a folder outside the project; returns exit code, lines and errors."""

    def run(*arguments: str, code: str = "") -> tuple[int, list[str], str]:
        (tmp_path / "shop.py").write_text(HEAD + (code or "        raise ValueError('unused')"))
        ended = subprocess.run(
            [sys.executable, "-m", "workers", "histories", "replay", *arguments],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT), "PATH": "", "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in ended.stderr + ended.stdout
        return ended.returncode, ended.stdout.splitlines(), ended.stderr

    return run


Replay = Callable[..., tuple[int, list[str], str]]
EXAMPLES = [
    "--workflows",
    "examples.order.saga:OrderSaga",
    "--workflows",
    "examples.payment.saga:PaymentSaga",
]
CHANGED = ["--workflows", "shop:Changed", "--workflows", "examples.payment.saga:PaymentSaga"]


def test_histories_that_replay_are_listed(replay: Replay) -> None:
    """Each history is a line, and the exit code is 0."""
    code, lines, errors = replay(str(STORED / "order-all-well"), *EXAMPLES)

    assert (code, errors) == (0, "")
    assert [line.split(",")[0] for line in lines] == [
        "ok      order-all-well (OrderSaga",
        "ok      order-all-well/payment (PaymentSaga",
        "2 histories replayed",
    ]


OTHER_ACTIVITY = """
        async with Saga() as saga:
            await saga.step(reserve, ReserveStock.of(order))
"""
NO_PATCH = """
        async with Saga() as saga:
            await saga.step(create, order)
            await saga.step(reserve, ReserveStock.of(order))
            await workflow.sleep(1)
"""
NO_CHILD = """
        async with Saga() as saga:
            await saga.step(create, order)
            await saga.step(reserve, ReserveStock.of(order))
            workflow.patched("screen-before-payment")
            await saga.step(screen, ScreenOrder.of(order))
            await workflow.sleep(1)
"""


@pytest.mark.parametrize(
    ("code", "event", "difference"),
    [
        (
            OTHER_ACTIVITY,
            "event 5, ActivityTaskScheduled 'create-order'",
            (
                "Activity id of scheduled event 'create-order' does not match "
                "activity id of activity command 'reserve-stock'"
            ),
        ),
        (
            "        await workflow.sleep(1)",
            "event 5, ActivityTaskScheduled 'create-order'",
            "the current code issues another command (timer)",
        ),
        (
            NO_CHILD,
            "StartChildWorkflowExecutionInitiated 'order-all-well/payment'",
            "the current code issues another command (timer)",
        ),
        (
            NO_PATCH,
            "event 17, MarkerRecorded 'screen-before-payment'",
            (
                "Non-deprecated patch marker encountered for change screen-before-payment, "
                "but there is no corresponding change command!"
            ),
        ),
        ("        raise ValueError('a bug')", "", "the current code fails: a bug"),
    ],
    ids=["other activity", "timer for activity", "no child", "no patch", "bug"],
)
def test_a_difference_is_one_sentence(replay: Replay, code: str, event: str, difference: str) -> None:
    """The sentence names workflow, event and difference, and the exit code is 1."""
    exit_code, lines, errors = replay(str(STORED / "order-all-well"), *CHANGED, code=code)

    assert exit_code == 1
    assert lines[0].startswith("DIFFERS order-all-well (OrderSaga, ")
    assert lines[0].endswith(f"{event}: {difference}" if event else difference)
    assert lines[1].startswith("ok      order-all-well/payment (PaymentSaga, ")
    assert errors == "1 of 2 histories do not replay\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere", *EXAMPLES], "there is no folder 'nowhere'"),
        ([".", *EXAMPLES], "there is no recording in '.'"),
        (["broken", *EXAMPLES], "'broken/1-PaymentSaga.json' is not a valid history"),
        (["half", *EXAMPLES], "'half/1-PaymentSaga.json' cannot be read: No such file or directory"),
        (["alien", *EXAMPLES], "'alien/manifest.json' is not a valid manifest"),
        ([str(STORED), *EXAMPLES[:2]], "the recordings contain workflow types without a class: PaymentSaga"),
        (
            [str(STORED), "--workflows", "shop"],
            "'shop' is not an import string: write MODULE:NAME, for example examples.order",
        ),
        ([str(STORED), "--workflows", "shop:Absent"], "module 'shop' has no attribute 'Absent'"),
        ([str(STORED), "--workflows", "shop:NUMBER"], "'shop:NUMBER' is not a workflow class"),
        ([str(STORED), "--workflows", "shop:Saga"], "'shop:Saga' is not a workflow class"),
        (
            [str(STORED), "--workflows", "no.such:Thing"],
            "module 'no.such' cannot be imported: ModuleNotFoundError: No module named 'no'",
        ),
        ([str(STORED)], "Missing option '--workflows'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_unusable_arguments_are_named(
    replay: Replay, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    """The exit code is 2: no history was replayed."""
    manifest = (STORED / "payment-unsupported-currency" / "manifest.json").read_text()
    for name, text in (("broken", manifest), ("half", manifest), ("alien", "[]")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text(text)
    (tmp_path / "broken" / "1-PaymentSaga.json").write_text("{")
    # The current folder must not contain a manifest in any subfolder.
    if arguments[0] == ".":
        for name in ("broken", "half", "alien"):
            (tmp_path / name / "manifest.json").unlink()

    code, lines, errors = replay(*arguments)

    assert (code, lines) == (2, [])
    assert sentence in errors
