"""Both type checkers accept `accepted.py`, and reject exactly the marked lines of `rejected.py`."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FILES = ACCEPTED, REJECTED = HERE / "accepted.py", HERE / "rejected.py"


def _run(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode in (0, 1), done.stderr or done.stdout
    return done.stdout


def mypy() -> dict[str, set[int]]:
    """The rejected lines of each file, by mypy."""
    found = _run(
        "mypy",
        "--config-file=",
        "--strict",
        "--no-error-summary",
        "--hide-error-context",
        "--no-pretty",
        *(str(file) for file in FILES),
    )
    return {
        file.name: {int(line) for line in re.findall(rf"{file.name}:(\d+): error", found)} for file in FILES
    }


def pyright() -> dict[str, set[int]]:
    """The rejected lines of each file, by pyright in strict mode."""
    project = ROOT / ".pyright-of-tests.json"
    include = [str(file.relative_to(ROOT)) for file in FILES]
    project.write_text(json.dumps({"typeCheckingMode": "strict", "include": include}))
    try:
        report = json.loads(
            _run("pyright", "--outputjson", "--pythonpath", sys.executable, "--project", str(project))
        )
    finally:
        project.unlink()
    errors = [one for one in report["generalDiagnostics"] if one["severity"] == "error"]
    return {
        file.name: {one["range"]["start"]["line"] + 1 for one in errors if one["file"].endswith(file.name)}
        for file in FILES
    }


@pytest.fixture(scope="module", params=[mypy, pyright], ids=lambda check: check.__name__)
def rejected_lines(request: pytest.FixtureRequest) -> dict[str, set[int]]:
    """The rejected lines of both files, by a type checker."""
    rejected: dict[str, set[int]] = request.param()
    return rejected


def test_correct_code_is_accepted(rejected_lines: dict[str, set[int]]) -> None:
    """Each `assert_type` holds: no type is inferred as `Any` or `Never`."""
    assert rejected_lines[ACCEPTED.name] == set()


def test_wrong_code_is_rejected(rejected_lines: dict[str, set[int]]) -> None:
    """The checkers reject every marked line, and no other line."""
    lines = REJECTED.read_text().splitlines()
    marked = {number for number, line in enumerate(lines, 1) if line.endswith("# no")}

    rejected = rejected_lines[REJECTED.name]

    assert {lines[n - 1].strip() for n in marked - rejected} == set()
    assert {lines[n - 1].strip() for n in rejected - marked} == set()
