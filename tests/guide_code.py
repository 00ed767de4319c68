"""The code of the guides, as modules: the tests run the printed code."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1] / "docs"


def guide_modules(page: str) -> dict[str, str]:
    """The modules of a guide: each Python block that starts with a file name is that file."""
    return dict(re.findall(r"```python\n# (\w+)\.py\n(.*?)```", (DOCS / page).read_text(), re.DOTALL))


@contextmanager
def imported_guide(page: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Writes the modules of a guide into a folder, and imports the modules."""
    blocks = guide_modules(page)
    for name, code in blocks.items():
        (folder / f"{name}.py").write_text(code)
    sys.path.insert(0, str(folder))
    try:
        yield {name: import_module(name) for name in blocks}
    finally:
        sys.path.remove(str(folder))
        for name in blocks:
            # After a failed import, the later modules are missing.
            sys.modules.pop(name, None)
