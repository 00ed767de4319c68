"""The golden files: messages and stored data of a process, as an earlier version wrote them."""

import json
from collections.abc import Mapping
from pathlib import Path

from .commands import commands, stories
from .samples import CONSTANTS, SAMPLES, as_text

FOLDER = Path(__file__).parent
GOLDEN, COMMANDS, STORIES = (FOLDER / f"{name}.json" for name in ("golden", "commands", "stories"))


def read(file: Path) -> dict[str, dict[str, object]]:
    """The content of a golden file, by section and name."""
    found: dict[str, dict[str, object]] = json.loads(file.read_text(encoding="utf-8"))
    return found


def write() -> None:
    """Writes the golden files again; data stored by earlier versions may be unreadable afterwards."""
    samples = {
        section: {name: each.write(each.value) for name, each in make().items()}
        for section, make in SAMPLES.items()
    }
    constants = {section: json.loads(as_text(make())) for section, make in CONSTANTS.items()}
    _write(GOLDEN, constants | samples)
    _write(COMMANDS, {"commands": json.loads(as_text(commands()))})
    _write(STORIES, {"cli-json": json.loads(as_text(stories()))})


def _write(file: Path, content: Mapping[str, object]) -> None:
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
    file.write_text(f"{text}\n", encoding="utf-8")
