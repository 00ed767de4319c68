"""The README is true: the code runs, and the links work."""

import asyncio
import os
import re
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
        env={**os.environ, "SAGAS_DATA_FOLDER": str(temporal.folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output_bytes, _ = await asyncio.wait_for(trip.communicate(), timeout=60)

    assert (trip.returncode, output_bytes.decode()) == (0, output)


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
