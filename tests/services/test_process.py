"""A service as a process: start, stop, crash and restart, and the errors of a failed start."""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI

from examples.service_kit.process import server_config
from tests.guide_code import DOCS

from .conftest import RunningService, StartService
from .messages import payment


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "examples.order.services", *arguments],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_the_documented_command_starts_a_service(tmp_path: Path) -> None:
    """The output is that of docs/services.md, except for the port; SIGTERM ends it with exit code 0."""
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
    first_line = service.stdout.readline()
    service.terminate()
    rest, _ = service.communicate(timeout=20)

    assert re.sub(r":\d+$", "", first_line.strip()) == re.sub(r":\d+$", "", answer)
    assert (service.returncode, rest) == (0, "")


def test_a_killed_service_keeps_every_answered_effect(start: StartService, tmp_path: Path) -> None:
    """After SIGKILL every answer is repeated from the database, and no effect is doubled."""
    running = start("payment", tmp_path / "payment.sqlite3")
    answers: list[str] = []
    for n in range(1, 6):
        message = payment(f"o{n}")
        answers.append(running.request("authorize-payment", message, f"{n}:a").raise_for_status().text)
        answers.append(running.request("capture-payment", message, f"{n}:c").raise_for_status().text)
        running.process.kill()
        running.process.wait()
        running = start("payment", tmp_path / "payment.sqlite3")
    repeated: list[str] = []
    for n in range(1, 6):
        repeated.append(running.request("authorize-payment", payment(f"o{n}"), f"{n}:a").text)
        repeated.append(running.request("capture-payment", payment(f"o{n}"), f"{n}:c").text)
    assert repeated == answers
    assert running.client.get("/health").json()["writes"] == 0
    assert running.client.get("/balance").json() == {
        "is_conserved": True,
        "accounts": {"EUR": {"customer": -2500, "escrow": 0, "merchant": 2500, "sum": 0}},
    }


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_service_stops_on_a_signal(start: StartService, tmp_path: Path, number: signal.Signals) -> None:
    """The exit code is 0 and the output empty, although a client is still connected."""
    running = start("payment", tmp_path / "payment.sqlite3")
    running.request("authorize-payment", payment("o1"), "k").raise_for_status()
    running.process.send_signal(number)
    output, errors = running.process.communicate(timeout=10)
    assert (running.process.returncode, output, errors) == (0, "", "")


def test_an_idle_connection_is_closed_by_the_client() -> None:
    """A client drops an idle connection before the service does, so that no request meets a closed one."""
    kept = httpx.Limits().keepalive_expiry

    assert kept is not None
    assert server_config(FastAPI()).timeout_keep_alive > kept


def test_a_used_port_is_reported_in_one_sentence(services: dict[str, RunningService], tmp_path: Path) -> None:
    """Exit code 1, the reason and the remedy, without a traceback."""
    port = str(urlsplit(services["payment"].url).port)
    result = run("order", "--port", port, "--database", str(tmp_path / "order.sqlite3"))
    where = f"127.0.0.1:{port}"
    reason = f"the order service cannot listen on {where}: Address already in use; choose another --port\n"
    assert (result.returncode, result.stderr) == (1, reason)


def test_a_file_that_is_no_database_is_reported_in_one_sentence(tmp_path: Path) -> None:
    """Exit code 1 and the name of the file, without a traceback."""
    path = tmp_path / "notes.txt"
    path.write_text("these notes must not be overwritten\n" * 10)
    result = run("order", "--database", str(path))
    assert result.returncode == 1
    assert (
        result.stderr == f"the order service cannot use the database {str(path)!r}: file is not a database\n"
    )


def test_an_unknown_service_is_reported_in_one_sentence(tmp_path: Path) -> None:
    """Exit code 1, and the names of the services."""
    result = run("paint", "--database", str(tmp_path / "db"))
    assert result.returncode == 1
    assert result.stderr == (
        "there is no service 'paint'; choose one of order, inventory, payment, shipping, notification\n"
    )


def test_a_participant_without_a_url_is_reported_in_one_sentence() -> None:
    """The worker names the incomplete option before any connection."""
    ended = subprocess.run(
        [sys.executable, "-m", "examples.order.worker", "--participant", "payment"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 2
    assert "'payment' is not a service and its URL" in ended.stderr
    assert "Traceback" not in ended.stderr
