"""The built wheel in a fresh environment, without the repository: install, `sagas new`, its test, its saga.

The package index of the machine's pip provides the dependencies, in the versions of requirements.lock.
"""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

import pytest

from tests.waiting import until
from workers import ChildProcess

ROOT = Path(__file__).parents[2]
VERSIONS = ("3.11", *(pytest.param(version, marks=pytest.mark.sweep) for version in ("3.12", "3.13")))
BOOT = 90.0
"""Seconds in which a server or a worker is up, also on a busy machine."""
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet")


def interpreter(version: str) -> str:
    """Finds CPython of a version: the interpreter of the tests, of pyenv, or on the PATH."""
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = sorted(pyenv.glob(f"{version}.*/bin/python"))
    if path := str(found[-1]) if found else shutil.which(f"python{version}"):
        return path
    pytest.skip(f"there is no CPython {version} on this machine")


class FreshEnvironment:
    """A virtual environment and an empty folder, without anything of the repository."""

    def __init__(self, folder: Path, python: str) -> None:
        self.folder, self.bin = folder / "home", folder / "venv" / "bin"
        self.folder.mkdir()
        self._inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        pip = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
        self.environment = {
            **self._inherited,
            **pip,
            "SAGAS_TEMPORAL_PORT": "27233",
            "SAGAS_UI_PORT": "28233",
        }
        subprocess.run([python, "-I", "-m", "venv", self.bin.parent], check=True)

    def run(self, program: str, *arguments: str | Path, cwd: Path | None = None) -> str:
        """Runs a program of the environment, and returns the output; fails the test with the output."""
        ended = subprocess.run(
            [self.bin / program, *arguments],
            cwd=cwd or self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=500,
            check=False,
        )
        assert ended.returncode == 0, f"{program} {arguments}:\n{ended.stdout}"
        return ended.stdout

    def process(self, name: str, command: Sequence[str | Path], cwd: Path) -> ChildProcess:
        """A process that runs beside others, with its output in a log."""
        program, *arguments = command
        return ChildProcess(
            [self.bin / program, *arguments],
            name=name,
            log=self.folder / f"{name}.log",
            environment={**self.environment, "PYTHONUNBUFFERED": "1"},
            working_directory=cwd,
        )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the working tree."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def constraints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The versions of requirements.lock, without hashes: pip cannot hash the wheel in advance."""
    file = tmp_path_factory.mktemp("constraints") / "constraints.txt"
    pinned = re.findall(r"^(\S+==[^\\\n]+?) *\\?$", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    file.write_text("\n".join(pinned))
    return file


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_user_without_the_repository_gets_a_running_saga(
    wheel: Path, constraints: Path, tmp_path: Path, version: str, report: list[str]
) -> None:
    """Install, `sagas new`, linters, test of the project, servers, worker, and both endings of the saga."""
    started = monotonic()
    fresh = FreshEnvironment(tmp_path, interpreter(version))
    fresh.environment["PIP_CONSTRAINT"] = str(constraints)

    fresh.run("python", *PIP, "install", f"durable-sagas[server] @ {wheel.as_uri()}")
    assert "Created shop/" in fresh.run("sagas", "new", "shop")
    project = fresh.folder / "shop"
    fresh.run("python", *PIP, "install", "--editable", ".[dev]", cwd=project)
    assert "3 passed" in fresh.run("pytest", "-q", "-W", "error", cwd=project)
    for command in (["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]):
        fresh.run(*command, cwd=project)
    assert "No module named" not in await _run_the_saga(fresh, project)

    report.append(
        f"installed package on CPython {version}: {monotonic() - started:.0f} s from nothing to a saga"
    )


async def _run_the_saga(fresh: FreshEnvironment, project: Path) -> str:
    async with fresh.process("dev", ["sagas", "dev", "--no-broker"], project) as dev:
        await until(lambda: "Ready" in dev.last_log_lines() or not dev.is_running, within=BOOT)
        (address,) = re.findall(r"export TEMPORAL_ADDRESS=(\S+)", dev.last_log_lines())
        fresh.environment["TEMPORAL_ADDRESS"] = address
        async with fresh.process("worker", ["python", "-m", "shop.worker"], project) as worker:
            await until(lambda: "Polling" in worker.last_log_lines() or not worker.is_running, within=BOOT)
            assert await _output(fresh, project, "4242", "lamp") == "completed: receipt for one lamp"
            ended = await _output(fresh, project, "0000", "lamp")
            assert ended == "compensated: card_declined, the bank declines the card"
            await until(lambda: "released: reservation of one lamp" in worker.last_log_lines())
            # A subfolder finds the servers of the project.
            listed = fresh.run("sagas", "list", "--status", "compensated", cwd=project / "tests")
            assert "order-" in listed
        assert worker.exit_code == 0
    assert dev.exit_code == 0
    return dev.last_log_lines() + worker.last_log_lines()


async def _output(fresh: FreshEnvironment, project: Path, *arguments: str) -> str:
    output = await asyncio.to_thread(fresh.run, "python", "-m", "shop", *arguments, cwd=project)
    return re.sub(r"^order-\w+ is ", "", output.strip())
