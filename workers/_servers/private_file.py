"""Files that only their owner can read."""

import os
from pathlib import Path


def write_private_file(file: Path, text: str, *, mode: int = 0o600) -> None:
    """Replaces a file atomically: a reader sees all of the old text or all of the new text."""
    draft = file.with_name(f"{file.name}.draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as opened:
        opened.write(text)
    draft.replace(file)
