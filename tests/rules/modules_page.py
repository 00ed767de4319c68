"""`python -m tests.rules.modules_page` writes docs/modules.md: the modules, each with its first line."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "modules.md"
PACKAGES = ("sagas", "activities", "choreography", "workers", "examples")
HEAD = """# Modules

The first line of every module, package by package; [architecture.md](architecture.md) describes the packages.
`python -m tests.rules.modules_page` writes this page, and a test compares the page with the code.
"""


def modules_page() -> str:
    """The text of the page."""
    return "\n".join([HEAD, *map(_section, _folders())])


def _folders() -> list[Path]:
    folders = {file.parent for package in PACKAGES for file in (ROOT / package).rglob("*.py")}
    return sorted(folders, key=lambda folder: (PACKAGES.index(folder.relative_to(ROOT).parts[0]), folder))


def _section(folder: Path) -> str:
    files = sorted(folder.glob("*.py"), key=lambda file: (file.name != "__init__.py", file.name))
    lines = [f"- `{file.name}`: {_first_line(file)}" for file in files]
    return "\n".join([f"## {folder.relative_to(ROOT).as_posix()}", "", *lines, ""])


def _first_line(file: Path) -> str:
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n")[0]


if __name__ == "__main__":
    PAGE.write_text(modules_page(), encoding="utf-8")
