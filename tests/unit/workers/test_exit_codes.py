"""Commands end with defined exit codes, and report expected errors in one sentence."""

import subprocess
import sys

import pytest


def run(body: str) -> subprocess.CompletedProcess[str]:
    """Runs a coroutine with this body as the main coroutine of a new process."""
    lines = "\n    ".join(body.splitlines())
    program = f"""
import asyncio, os, signal
from sagas import RejectedError
from workers import ConfigurationError, run_main

async def main():
    {lines}

run_main(main())
print("not reached")
"""
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ("return None", 0, ""),
        ("return 7", 7, ""),
        ("raise SystemExit(5)", 5, ""),
        ("raise RejectedError('card_declined', 'no money')", 1, "error: card_declined: no money\n"),
        ("raise ConfigurationError('X is bad')", 2, "error: X is bad\n"),
        ("os.kill(os.getpid(), signal.SIGINT)\nawait asyncio.Event().wait()", 130, ""),
    ],
)
def test_expected_ends_have_an_exit_code_and_at_most_one_sentence(body: str, code: int, message: str) -> None:
    """Expected errors are printed without a traceback."""
    ended = run(body)

    assert (ended.returncode, ended.stderr, ended.stdout) == (code, message, "")


def test_an_unexpected_exception_keeps_its_traceback() -> None:
    """The traceback shows where the bug is."""
    ended = run("raise ZeroDivisionError('oops')")

    assert ended.returncode == 1
    assert "Traceback" in ended.stderr
    assert "ZeroDivisionError: oops" in ended.stderr


def test_sagas_dev_without_the_temporal_program_names_the_package() -> None:
    """The command prints one sentence and ends with 1."""
    program = """
import os, sys
sys.executable, sys.argv, os.environ["PATH"] = "/nowhere/python", ["sagas", "dev"], "/nowhere"
from workers._cli.main import main
main()
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )

    assert ended.returncode == 1
    assert ended.stderr == (
        "error: the program 'temporal' was not found; install it with: pip install 'durable-sagas[server]'\n"
    )
