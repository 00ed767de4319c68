"""The command `sagas new`: writes a small project with a saga, a worker and a test."""

import importlib.util
import keyword
import re
import sys
import tempfile
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from .._errors import ConfigurationError
from .exit_codes import run_main

TEMPLATES = files("workers._cli") / "new_project"
FILES = {
    ".gitignore": "gitignore.tpl",
    "README.md": "README.md.tpl",
    "pyproject.toml": "pyproject.toml.tpl",
    "$package/__init__.py": "package.py.tpl",
    "$package/__main__.py": "main.py.tpl",
    "$package/client.py": "client.py.tpl",
    "$package/saga.py": "saga.py.tpl",
    "$package/worker.py": "worker.py.tpl",
    "tests/test_saga.py": "test_saga.py.tpl",
}
"""The files of a new project, with the template of each."""
OTHER_FOLDERS = {"test", "tests", "docs", "dist", "build"}
"""Names that a package beside the tests must not have."""

Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of the project, as in shop or web-shop.")]


def new(name: Name) -> None:
    """Write a small project: a saga, its worker, a test.

    The folder NAME is created in the current folder, and must not exist.
    """
    run_main(_new(name))


async def _new(name: str) -> None:
    folder = create_project(name, Path())
    typer.echo(
        f"Created {folder}/ with a saga, a worker and a test. Next:\n"
        f"  cd {folder}\n"
        '  pip install --editable ".[dev]"\n'
        "  pytest\n"
        f"{folder}/README.md shows how to run the saga."
    )


def create_project(name: str, parent: Path) -> Path:
    """Writes the project, all files or none, and returns its folder.

    Raises:
        ConfigurationError: The name is unusable, the folder exists, or the files cannot be written.
    """
    package = check_name(name)
    folder = parent / name
    if folder.exists() or folder.is_symlink():
        raise ConfigurationError(f"{str(folder)!r} exists already; choose another name, or another folder")
    _refuse_installed_module(package)
    names = {"project": name, "package": package, "version": version("durable-sagas")}
    try:
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=parent) as draft:
            _write(Path(draft) / name, names)
            (Path(draft) / name).rename(folder)
    except OSError as error:
        raise ConfigurationError(f"{str(folder)!r} cannot be written: {error.strerror}") from error
    return folder


def check_name(name: str) -> str:
    """Returns the name of the package for the name of a project: `web_shop` for `web-shop`.

    Raises:
        ConfigurationError: No package can have the name.
    """
    if not re.fullmatch(r"[a-z]([a-z0-9]|[-_](?=[a-z0-9])){0,49}", name):
        raise ConfigurationError(
            f"{name!r} is not a name for a project: write at most 50 lower-case letters, digits and single "
            "hyphens, a letter first, for example web-shop"
        )
    package = name.replace("-", "_")
    if keyword.iskeyword(package) or keyword.issoftkeyword(package) or package in OTHER_FOLDERS:
        raise ConfigurationError(f"{name!r} is reserved; choose another name")
    return package


def _refuse_installed_module(package: str) -> None:
    spec = importlib.util.find_spec(package)
    # A folder without modules of its own, such as a folder beside the project, has no origin.
    if package in sys.stdlib_module_names or (spec is not None and spec.origin is not None):
        raise ConfigurationError(
            f"{package!r} is the name of an installed module, which the project would hide; "
            "choose another name"
        )


def _write(folder: Path, names: dict[str, str]) -> None:
    for place, template in FILES.items():
        file = folder / Template(place).substitute(names)
        file.parent.mkdir(parents=True, exist_ok=True)
        text = (TEMPLATES / template).read_text(encoding="utf-8")
        file.write_text(Template(text).substitute(names), encoding="utf-8")
