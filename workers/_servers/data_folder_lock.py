"""The claim of an embedded server on its data folder, and the note that tells others where the server is."""

import asyncio
import os
import time
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from .._errors import FolderInUseError
from .file_lock import FileLock, is_locked

PATIENCE = 15.0
"""Seconds in which a server that is just stopping may still hold its folder."""


class RunningServer(BaseModel):
    """Who runs on a data folder; each kind of server adds where it is."""

    model_config = ConfigDict(frozen=True)

    pid: int
    owner_pid: int


Running = TypeVar("Running", bound=RunningServer)


class FolderClaim:
    """The right of one server to a data folder, for as long as the server lives.

    Args:
        folder: The data folder.
        server: Which server; those of different names may share a folder.
    """

    def __init__(self, folder: Path, server: str) -> None:
        self.folder, self.server = folder, server
        self._lock = FileLock(_lock_file(folder, server))

    @property
    def descriptor(self) -> int:
        """The open file that carries the claim, which a server that inherits it holds until it is gone."""
        return self._lock.descriptor

    async def take(self) -> None:
        """Claims the folder.

        Raises:
            FolderInUseError: Another server has it, and is not about to stop.
        """
        deadline = time.monotonic() + PATIENCE
        while not self._lock.acquire():
            # A server whose owner was killed is about to stop; any other one will stay.
            found = find_claimant(self.folder, self.server, RunningServer)
            if (found is not None and _exists(found.owner_pid)) or time.monotonic() > deadline:
                raise FolderInUseError(self.folder)
            await asyncio.sleep(0.05)

    def announce(self, running: RunningServer) -> None:
        """Tells others where the server is; only its own user can read it, as it may hold a password."""
        file = _address_file(self.folder, self.server)
        write_private(file, running.model_dump_json())

    def withdraw(self) -> None:
        """Takes back what was announced; does nothing where the folder is not ours."""
        if self._lock.is_held:
            _address_file(self.folder, self.server).unlink(missing_ok=True)

    def release(self) -> None:
        """Gives the folder back; does nothing where it is not ours."""
        self._lock.release()


def find_claimant(folder: Path, server: str, kind: type[Running]) -> Running | None:
    """Finds the server that runs on a data folder; None where none does."""
    # What a crash left behind is told from what is true by the lock: only a living server holds it.
    if not is_locked(_lock_file(folder, server)):
        return None
    try:
        return kind.model_validate_json(_address_file(folder, server).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def write_private(file: Path, text: str, *, mode: int = 0o600) -> None:
    """Writes a file that only its owner can read; who reads it sees all of the old text or all of the new."""
    draft = file.with_name(f"{file.name}.draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as opened:
        opened.write(text)
    draft.replace(file)


def _address_file(folder: Path, server: str) -> Path:
    return folder / f"{server}.json"


def _lock_file(folder: Path, server: str) -> Path:
    return folder / f"{server}.lock"


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
