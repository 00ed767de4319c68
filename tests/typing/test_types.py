"""Both type checkers accept `accepted.py`, and reject exactly the marked lines of `rejected.py`."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def _run(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode in (0, 1), done.stderr or done.stdout
    return done.stdout


def mypy(file: Path) -> set[int]:
    """The lines of `file` that mypy rejects."""
    found = _run(
        "mypy",
        "--config-file=",
        "--strict",
        "--no-error-summary",
        "--hide-error-context",
        "--no-pretty",
        str(file),
    )
    return {int(line) for line in re.findall(rf"{file.name}:(\d+): error", found)}


def pyright(file: Path) -> set[int]:
    """The lines of `file` that pyright rejects in strict mode."""
    project = ROOT / ".pyright-of-tests.json"
    project.write_text(json.dumps({"typeCheckingMode": "strict", "include": [str(file.relative_to(ROOT))]}))
    try:
        report = json.loads(
            _run("pyright", "--outputjson", "--pythonpath", sys.executable, "--project", str(project))
        )
    finally:
        project.unlink()
    errors = [one for one in report["generalDiagnostics"] if one["severity"] == "error"]
    return {one["range"]["start"]["line"] + 1 for one in errors if one["file"].endswith(file.name)}


@pytest.mark.parametrize("check", [mypy, pyright])
def test_correct_code_is_accepted(check: Callable[[Path], set[int]]) -> None:
    """Each `assert_type` holds: no type is inferred as `Any` or `Never`."""
    assert check(HERE / "accepted.py") == set()


@pytest.mark.parametrize("check", [mypy, pyright])
def test_wrong_code_is_rejected(check: Callable[[Path], set[int]]) -> None:
    """The checkers reject every marked line, and no other line."""
    file = HERE / "rejected.py"
    lines = file.read_text().splitlines()
    marked = {number for number, line in enumerate(lines, 1) if line.endswith("# no")}

    rejected = check(file)

    assert {lines[n - 1].strip() for n in marked - rejected} == set()
    assert {lines[n - 1].strip() for n in rejected - marked} == set()
