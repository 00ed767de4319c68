"""The README is true: the code runs, and the links work."""

import ast
import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

from workers import EmbeddedTemporal

README = Path(__file__).parents[2] / "README.md"
CODE = re.compile(r"```.*?```", re.DOTALL)
"""Code blocks may contain a text in the form of a link."""


async def test_the_saga_of_the_readme_prints_the_shown_output(
    temporal: EmbeddedTemporal, tmp_path: Path
) -> None:
    """The saga runs unchanged, with nothing but a server, and prints the output below the code."""
    code, output = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", README.read_text(), re.DOTALL).groups()  # type: ignore[union-attr]
    script = tmp_path / "trip.py"
    script.write_text(code)

    trip = await asyncio.create_subprocess_exec(
        sys.executable,
        script,
        cwd=tmp_path,
        env={**os.environ, "TEMPORAL_ADDRESS": temporal.address},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output_bytes, _ = await asyncio.wait_for(trip.communicate(), timeout=60)

    assert (trip.returncode, output_bytes.decode()) == (0, output)


def test_the_saga_of_the_readme_imports_only_temporalio_and_sagas() -> None:
    """A user of Temporal recognizes the whole set-up: no worker and no settings of ours are needed."""
    (code, *_) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    modules = {
        name.partition(".")[0]
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
        )
    }

    assert modules - sys.stdlib_module_names == {"temporalio", "sagas"}


def test_the_saga_of_the_readme_has_strict_types(tmp_path: Path) -> None:
    """Mypy accepts the code in strict mode."""
    (code, *_) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    (tmp_path / "trip.py").write_text(code)
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", os.devnull, "trip.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.returncode == 0, checked.stdout


def test_every_link_of_the_documents_leads_to_a_file() -> None:
    """The target file of every link exists."""
    root = README.parent
    documents = [
        README,
        *root.glob("docs/**/*.md"),
        *root.glob("examples/**/*.md"),
        *root.glob("benchmarks/*.md"),
    ]
    missing = [
        f"{document.relative_to(root)}: {target}"
        for document in documents
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", CODE.sub("", document.read_text()))
        if not (document.parent / target).exists()
    ]

    assert missing == []
