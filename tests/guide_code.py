"""Code that stands in the documentation, as modules: what is printed is what runs."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1] / "docs"


def guide_modules(page: str) -> dict[str, str]:
    """The code of a page: each block of Python that begins with the name of a file is that file."""
    return dict(re.findall(r"```python\n# (\w+)\.py\n(.*?)```", (DOCS / page).read_text(), re.DOTALL))


@contextmanager
def imported_guide(page: str, folder: Path) -> Iterator[dict[str, Any]]:
    """The modules of a page, as files in a folder."""
    blocks = guide_modules(page)
    for name, code in blocks.items():
        (folder / f"{name}.py").write_text(code)
    sys.path.insert(0, str(folder))
    try:
        yield {name: import_module(name) for name in blocks}
    finally:
        sys.path.remove(str(folder))
        for name in blocks:
            # Where one cannot be imported, those after it are not there.
            sys.modules.pop(name, None)
