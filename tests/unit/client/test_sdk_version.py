"""`sagas.__version__` is the version of the installed distribution."""

import subprocess
import sys
import tomllib
from pathlib import Path

import sagas

ROOT = Path(__file__).parents[3]


def test_version_is_that_of_the_project() -> None:
    """Users find the version at the usual place."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert sagas.__version__ == project["version"]


def test_package_without_its_distribution_can_be_imported() -> None:
    """A copy of the source works, with an unknown version."""
    code = (
        "import importlib.metadata as metadata\n"
        "def version(name): raise metadata.PackageNotFoundError(name)\n"
        "metadata.version = version\n"
        "from sagas._version import __version__\n"
        "print(__version__)"
    )

    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    assert (ended.stdout, ended.stderr) == ("0+unknown\n", "")
