"""`sagas histories replay` says in a sentence what differs, and what it cannot read; never a traceback."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STORED = ROOT / "tests" / "histories" / "0.1.0"

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
    """Runs the command in a folder of a user's own; returns exit code, lines and errors."""

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


def test_histories_that_replay_are_one_line_each(replay: Replay) -> None:
    """And the exit code is 0."""
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
    ("code", "where", "what"),
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
            "the code of today does something else there (timer)",
        ),
        (
            NO_CHILD,
            "StartChildWorkflowExecutionInitiated 'order-all-well/payment'",
            "the code of today does something else there (timer)",
        ),
        (
            NO_PATCH,
            "event 17, MarkerRecorded 'screen-before-payment'",
            (
                "Non-deprecated patch marker encountered for change screen-before-payment, "
                "but there is no corresponding change command!"
            ),
        ),
        ("        raise ValueError('a bug')", "", "the code of today fails: a bug"),
    ],
    ids=["other activity", "timer for activity", "no child", "no patch", "bug"],
)
def test_what_differs_is_one_sentence(replay: Replay, code: str, where: str, what: str) -> None:
    """It names the workflow, the event, and what the code does instead; the exit code is 1."""
    exit_code, lines, errors = replay(str(STORED / "order-all-well"), *CHANGED, code=code)

    assert exit_code == 1
    assert lines[0].startswith("DIFFERS order-all-well (OrderSaga, ")
    assert lines[0].endswith(f"{where}: {what}" if where else what)
    assert lines[1].startswith("ok      order-all-well/payment (PaymentSaga, ")
    assert errors == "1 of 2 histories do not replay\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere", *EXAMPLES], "there is no folder 'nowhere'"),
        ([".", *EXAMPLES], "there is no recording in '.'"),
        (["broken", *EXAMPLES], "'broken/1-PaymentSaga.json' is no history that can be read"),
        (["half", *EXAMPLES], "'half/1-PaymentSaga.json' cannot be read: No such file or directory"),
        (["alien", *EXAMPLES], "'alien/manifest.json' is no manifest that can be read"),
        ([str(STORED), *EXAMPLES[:2]], "there are histories of PaymentSaga, and no class for them is given"),
        (
            [str(STORED), "--workflows", "shop"],
            "'shop' names nothing: write it as examples.order",
        ),
        ([str(STORED), "--workflows", "shop:Absent"], "module 'shop' has no 'Absent'"),
        ([str(STORED), "--workflows", "shop:NUMBER"], "'shop:NUMBER' is no workflow class"),
        ([str(STORED), "--workflows", "shop:Saga"], "'shop:Saga' is no workflow class"),
        (
            [str(STORED), "--workflows", "no.such:Thing"],
            "module 'no.such' cannot be imported: ModuleNotFoundError: No module named 'no'",
        ),
        ([str(STORED)], "Missing option '--workflows'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_used_is_named(
    replay: Replay, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    """The exit code is 2: nothing is known about running sagas."""
    manifest = (STORED / "payment-unsupported-currency" / "manifest.json").read_text()
    for name, text in (("broken", manifest), ("half", manifest), ("alien", "[]")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text(text)
    (tmp_path / "broken" / "1-PaymentSaga.json").write_text("{")
    # What the pattern finds below the folder of the broken ones is of no interest.
    if arguments[0] == ".":
        for name in ("broken", "half", "alien"):
            (tmp_path / name / "manifest.json").unlink()

    code, lines, errors = replay(*arguments)

    assert (code, lines) == (2, [])
    assert sentence in errors
