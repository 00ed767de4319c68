"""`python -m tests.rules.pattern_code` writes the code of examples/patterns into docs/patterns.md."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "patterns.md"
FOLDER = ROOT / "examples" / "patterns"
BLOCK = re.compile(r"```python\n# examples/patterns/(\w+)\.py\n.*?```", re.DOTALL)


def pattern_files() -> list[Path]:
    """The files with a saga."""
    return [
        file for file in sorted(FOLDER.glob("*.py")) if "@workflow.defn" in file.read_text(encoding="utf-8")
    ]


def with_current_code(page: str) -> str:
    """The page with the code of the files, without the docstrings of the modules."""
    return BLOCK.sub(lambda block: _block(block[1]), page)


def shown_files(page: str) -> list[str]:
    """The names of the files on the page, in order."""
    return BLOCK.findall(page)


def saga_lengths(source: str) -> Iterator[tuple[str, int]]:
    """The workflow classes of a file, and the numbers of their lines."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and node.decorator_list:
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 2


def _block(name: str) -> str:
    source = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    _, _, code = source.partition('"""\n')
    return f"```python\n# examples/patterns/{name}.py\n{code.strip()}\n```"


if __name__ == "__main__":
    PAGE.write_text(with_current_code(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
