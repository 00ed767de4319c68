"""The data folder, found upwards from the current folder."""

import os
from contextlib import suppress
from pathlib import Path

NAME = ".sagas"


def find_data_folder() -> Path:
    """Finds the data folder as git finds a repository: in the current folder, else in the nearest parent.

    Folders of other users are ignored, because the address file in the folder names the server that gets the
    data of sagas.

    Returns:
        The found folder; `.sagas` in the current folder when no folder is found.
    """
    candidates = [Path(NAME)]
    # A deleted current folder has no known parents.
    with suppress(FileNotFoundError):
        candidates += [parent / NAME for parent in Path.cwd().parents]
    return next(filter(_is_own_folder, candidates), Path(NAME))


def _is_own_folder(folder: Path) -> bool:
    try:
        return folder.is_dir() and folder.stat().st_uid == os.getuid()
    except OSError:
        return False
