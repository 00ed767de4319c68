"""docs/testing.md in a folder of its own, as a new user runs the page: the plugin brings the server."""

import subprocess
import sys
from pathlib import Path

from tests.guide_code import guide_modules

OPTIONS = (
    "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n"
)


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs pytest in a folder without the configuration of this project."""
    (folder / "pytest.ini").write_text(OPTIONS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout", "80", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


def test_tests_of_the_page_pass(temporal_program: str, tmp_path: Path) -> None:
    """Every test of the page passes, with the fixtures of the entry point only."""
    modules = guide_modules("testing.md")
    for name, code in modules.items():
        (tmp_path / f"{name}.py").write_text(code)
    tests = sum(code.count("async def test_") for code in modules.values())

    result = run_pytest(tmp_path)

    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{tests} passed" in result.stdout


def test_tests_of_the_page_are_short() -> None:
    """Each of the three first tests has at most ten lines."""
    for test in guide_modules("testing.md")["test_shop"].split("\n\n\n")[1:]:
        assert len(test.strip().splitlines()) <= 10


def test_missing_server_fails_with_advice(tmp_path: Path) -> None:
    """The error names the package to install."""
    (tmp_path / "test_it.py").write_text("def test_it(saga_client):\n    pass\n")
    (tmp_path / "conftest.py").write_text(
        "import sys\nsys.executable = '/nowhere/python'\nimport os\nos.environ['PATH'] = ''\n"
    )

    result = run_pytest(tmp_path)

    assert result.returncode == 1
    assert "install it with: pip install 'durable-sagas[server]'" in result.stdout
