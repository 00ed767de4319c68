"""A service as a process: it starts, stops, dies and comes back, and says clearly why it cannot start."""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.guide_code import DOCS

from .conftest import Running, Start
from .messages import payment


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "examples.service", *arguments],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_the_command_of_the_page_starts_a_service(tmp_path: Path) -> None:
    """It says what the page says, but for the port, and SIGTERM ends it with exit code 0."""
    ((command, answer),) = re.findall(r"```\n(python .*)\n(.*)\n```", (DOCS / "services.md").read_text())
    service = subprocess.Popen(
        [sys.executable, *shlex.split(command)[1:]],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(DOCS.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert service.stdout is not None
    said = service.stdout.readline()
    service.terminate()
    rest, _ = service.communicate(timeout=20)

    assert re.sub(r":\d+$", "", said.strip()) == re.sub(r":\d+$", "", answer)
    assert (service.returncode, rest) == (0, "")


def test_a_killed_service_loses_nothing_that_it_answered(start: Start, tmp_path: Path) -> None:
    """After SIGKILL every answer is repeated from the database, and no effect is there twice."""
    running = start("payment", tmp_path / "payment.sqlite3")
    answers: list[str] = []
    for n in range(1, 6):
        message = payment(f"o{n}")
        answers.append(running.ask("authorize-payment", message, f"{n}:a").raise_for_status().text)
        answers.append(running.ask("capture-payment", message, f"{n}:c").raise_for_status().text)
        running.process.kill()
        running.process.wait()
        running = start("payment", tmp_path / "payment.sqlite3")
    repeated: list[str] = []
    for n in range(1, 6):
        repeated.append(running.ask("authorize-payment", payment(f"o{n}"), f"{n}:a").text)
        repeated.append(running.ask("capture-payment", payment(f"o{n}"), f"{n}:c").text)
    assert repeated == answers
    assert running.client.get("/health").json()["writes"] == 0
    assert running.client.get("/balance").json() == {
        "is_conserved": True,
        "accounts": {"EUR": {"customer": -2500, "escrow": 0, "merchant": 2500, "sum": 0}},
    }


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_service_stops_when_asked_to(start: Start, tmp_path: Path, number: signal.Signals) -> None:
    """It ends with exit code 0 and without a word, although a client is still connected."""
    running = start("payment", tmp_path / "payment.sqlite3")
    running.ask("authorize-payment", payment("o1"), "k").raise_for_status()
    running.process.send_signal(number)
    output, errors = running.process.communicate(timeout=10)
    assert (running.process.returncode, output, errors) == (0, "", "")


def test_a_taken_port_is_one_clear_sentence(services: dict[str, Running], tmp_path: Path) -> None:
    """Exit code 1, no traceback, and what to do."""
    port = str(urlsplit(services["payment"].url).port)
    result = run("order", "--port", port, "--database", str(tmp_path / "order.sqlite3"))
    where = f"127.0.0.1:{port}"
    reason = f"the order service cannot listen on {where}: Address already in use; choose another --port\n"
    assert (result.returncode, result.stderr) == (1, reason)


def test_a_file_that_is_no_database_is_one_clear_sentence(tmp_path: Path) -> None:
    """Exit code 1, no traceback, and the file's name."""
    path = tmp_path / "notes.txt"
    path.write_text("these are my notes, and they are not to be overwritten\n" * 10)
    result = run("order", "--database", str(path))
    assert result.returncode == 1
    assert (
        result.stderr == f"the order service cannot use the database {str(path)!r}: file is not a database\n"
    )


def test_an_unknown_service_is_one_clear_sentence(tmp_path: Path) -> None:
    """Exit code 1, and which ones there are."""
    result = run("paint", "--database", str(tmp_path / "db"))
    assert result.returncode == 1
    assert result.stderr == (
        "there is no service 'paint'; choose one of payment, notification, order, inventory, shipping\n"
    )


def test_a_participant_without_an_address_is_one_clear_sentence() -> None:
    """Whoever starts the worker of the examples is told what is missing, before it connects to anything."""
    ended = subprocess.run(
        [sys.executable, "-m", "examples.worker", "--participant", "payment"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 2
    assert "'payment' does not say who listens where" in ended.stderr
    assert "Traceback" not in ended.stderr
