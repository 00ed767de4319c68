"""The code keeps the rules of tests/architecture.py, and each rule detects a planted violation."""

import subprocess
import sys
from pathlib import Path

import pytest

from .architecture import LONGEST_FUNCTION, violations

ROOT = Path(__file__).parent.parent
FOLDERS = ("sagas", "activities", "choreography", "workers", "examples", "benchmarks", "tests")
FILES = sorted(file.relative_to(ROOT) for folder in FOLDERS for file in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=str)
def test_every_file_keeps_the_rules(file: Path) -> None:
    """Arrows point one way, files have nouns for names, functions fit on a screen."""
    assert violations(file.as_posix(), (ROOT / file).read_text(encoding="utf-8")) == []


def test_there_are_files_to_check() -> None:
    """A checker that looks at nothing finds nothing."""
    assert {file.parts[0] for file in FILES} == set(FOLDERS)


LONG = "def f():\n" + "    x = 1\n" * LONGEST_FUNCTION
PLANTED = [
    ("sagas/_x.py", "import activities", "sagas may not import activities"),
    ("sagas/_x.py", "from workers import connect", "sagas may not import workers.connect"),
    ("sagas/testing/_x.py", "def f():\n    import choreography", "sagas may not import choreography"),
    (
        "sagas/_core/x.py",
        "from .._declarations import step",
        "sagas._core may not import sagas._declarations",
    ),
    ("sagas/_workflow/x.py", "from .._plugin import plugin", "sagas._workflow may not import sagas._plugin"),
    ("sagas/_history/x.py", "from .._workflow import saga", "sagas._history may not import sagas._workflow"),
    ("sagas/_history/x.py", "from ..operator import _client", "may not import sagas.operator._client"),
    ("choreography/_declarations/x.py", "from .._messaging import bus", "not import choreography._messaging"),
    ("choreography/_declarations/x.py", "from .._transaction import fence", "choreography._transaction"),
    ("choreography/_declarations/x.py", "from .. import _tracing", "not import choreography._tracing"),
    ("choreography/_messaging/rabbitmq/x.py", "from ..._transaction import fence", "_transaction.fence"),
    ("choreography/_messaging/x.py", "from .._runtime.outbox_relay import R", "choreography._runtime"),
    ("choreography/_transaction/x.py", "from .._messaging.bus import Bus", "choreography._messaging.bus.Bus"),
    ("choreography/_transaction/x.py", "from .._runtime import outbox_relay", "choreography._runtime"),
    ("choreography/_tracing.py", "from ._transaction import fence", "choreography._transaction.fence"),
    ("choreography/_errors.py", "from ._declarations.event import Event", "choreography._declarations"),
    ("workers/_servers/x.py", "from .._connections import temporal", "may not import workers._connections"),
    ("workers/_worker/x.py", "from .._cli.main import app", "workers._worker may not import workers._cli"),
    ("sagas/operator/x.py", "from ..testing import run_saga", "sagas.operator may not import sagas.testing"),
    ("sagas/testing/x.py", "import pytest", "pytest may only be imported in workers/_pytest/*, tests/*"),
    ("workers/_cli/x.py", "from .._pytest import plugin", "workers._cli may not import workers._pytest"),
    (
        "workers/_pytest/x.py",
        "from .._worker import worker",
        "workers._pytest may not import workers._worker",
    ),
    ("sagas/_client/x.py", "from ..operator import _client", "sagas._client may not import sagas.operator"),
    ("activities/_x.py", "from choreography import Bus", "activities may not import choreography.Bus"),
    ("choreography/_x.py", "import workers", "choreography may not import workers"),
    ("workers/_x.py", "from activities import call", "workers may not import activities.call"),
    ("workers/_x.py", "from examples.order import operations", "workers may not import examples.order"),
    ("workers/_x.py", "from tests import waiting", "workers may not import tests.waiting"),
    ("examples/payment/saga.py", "import examples.order", "examples.payment may not import examples.order"),
    ("examples/payment/saga.py", "from ..order import messages", "may not import examples.order.messages"),
    (
        "examples/payment/__main__.py",
        "import examples.order",
        "examples.payment may not import examples.order",
    ),
    ("examples/order/__main__.py", "import examples.compare", "may not import examples.compare"),
    ("examples/demo/x.py", "from examples.payment import saga", "may not import examples.payment.saga"),
    ("examples/stack/x.py", "from examples.demo import scenario", "may not import examples.demo.scenario"),
    ("examples/stack/x.py", "from examples.order import saga", "may not import examples.order.saga"),
    ("examples/service_kit/x.py", "import examples.order.messages", "may not import examples.order.messages"),
    (
        "examples/service_kit/x.py",
        "import examples.stack",
        "examples.service_kit may not import examples.stack",
    ),
    (
        "examples/patterns/x.py",
        "from examples.order import saga",
        "examples.patterns may not import examples.order.saga",
    ),
    ("examples/x.py", "from examples.payment import saga", "examples may not import examples.payment.saga"),
    ("examples/order/services/x.py", "import examples.stack.stack", "may not import examples.stack.stack"),
    (
        "examples/compare/measurement/x.py",
        "from ..reporting import charts",
        "may not import examples.compare",
    ),
    ("examples/order/saga.py", "import fastapi", "fastapi may only be imported in"),
    ("workers/_x.py", "from sagas._errors import SagaError", "is private to sagas"),
    ("examples/order/saga.py", "from sagas import _errors", "is private to sagas"),
    ("sagas/_x.py", "import httpx", "httpx may only be imported in"),
    ("workers/_worker/worker.py", "from typer import echo", "typer may only be imported in"),
    ("activities/_x.py", "import rich.table", "rich may only be imported in"),
    ("workers/_x.py", "import sqlite3", "sqlite3 may only be imported in"),
    ("choreography/_messaging/bus.py", "import aio_pika", "aio_pika may only be imported in"),
    ("choreography/_x.py", "import opentelemetry.sdk.trace", "opentelemetry.sdk may only be imported in"),
    ("choreography/_runtime/x.py", "from aio_pika.abc import X", "aio_pika may only be imported in"),
    ("choreography/_messaging/rabbitmq/connection.py", "import aiormq", "aiormq may only be imported in"),
    ("workers/_x.py", "import aio_pika", "aio_pika may only be imported in"),
    ("sagas/_x.py", "import os\nx = os.environ", "the environment is read in"),
    ("activities/_x.py", "from os import environ", "the environment is read in"),
    ("activities/_x.py", LONG, f"has {LONGEST_FUNCTION + 1} lines"),
    ("sagas/_utils.py", "", "not '_utils.py'"),
    ("choreography/base.py", "", "not 'base.py'"),
    ("examples/order/activities.py", "", "would shadow"),
    ("sagas/__init__.py", "x = 1", "begins with a docstring"),
    ("sagas/__init__.py", '"""D."""\nx = 1', "a façade is a docstring"),
    ("sagas/__init__.py", '"""D."""\nfrom ._x import b', "__all__ names what"),
    ("sagas/__init__.py", '"""D."""\nfrom ._x import A, b\n__all__ = ["b", "A"]', "__all__ is sorted"),
]


@pytest.mark.parametrize(("path", "source", "problem"), PLANTED, ids=[f"{p}: {x}" for p, _, x in PLANTED])
def test_a_planted_violation_is_caught(path: str, source: str, problem: str) -> None:
    """Each rule is seen to fail once."""
    assert any(problem in found for found in violations(path, source))


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("workers/_x.py", "from sagas import SagaError\nfrom ._errors import ProcessError"),
        ("sagas/testing/_x.py", "from .._errors import SagaError\nimport hypothesis"),
        (
            "sagas/operator/_x.py",
            "from .._history.fetch import Archive\nfrom .._core import ids",
        ),
        ("examples/order/saga.py", "from examples.payment import saga"),
        ("workers/_cli/x.py", "from .._worker.worker import run_worker\nimport typer"),
        ("benchmarks/__main__.py", "from examples.order import saga\nfrom workers import run_main"),
        ("tests/unit/test_x.py", "from sagas._errors import SagaError"),
        ("sagas/_x.py", LONG.replace("    x = 1\n", "", 1)),
        ("choreography/_x.py", "from opentelemetry import trace"),
        ("choreography/_runtime/x.py", "from .._messaging.bus import Bus\nfrom .._transaction import outbox"),
        ("choreography/_messaging/rabbitmq/x.py", "import aio_pika\nfrom ..bus import Bus"),
        ("sagas/__init__.py", '"""D."""\nfrom ._x import A, B_C, b\n__all__ = ["B_C", "A", "b"]'),
    ],
)
def test_what_is_allowed_is_not_caught(path: str, source: str) -> None:
    """A rule that refuses what is right would soon be switched off."""
    assert violations(path, source) == []


def test_a_users_own_activities_and_workers_do_no_harm(tmp_path: Path) -> None:
    """Beside a script they shadow our packages of that name, so nothing in sagas may need those."""
    for name in ("activities", "workers", "choreography"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name} of the user was imported')")
    (tmp_path / "script.py").write_text("import sagas\nprint(len(sagas.__all__))")

    ended = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )

    assert (ended.returncode, ended.stderr) == (0, "")
