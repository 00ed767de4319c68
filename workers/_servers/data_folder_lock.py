"""The lock of an embedded server on its data folder, and the file that publishes the server's address."""

import os
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from .._errors import DataFolderInUseError
from .._polling import poll_until
from .file_lock import FileLock, is_locked
from .private_file import write_private_file

STOPPING_TIMEOUT = timedelta(seconds=15)
"""How long a server that is stopping may still hold the lock."""


class RunningServer(BaseModel):
    """The content of an address file; each kind of server adds its own address."""

    model_config = ConfigDict(frozen=True)

    pid: int
    owner_pid: int


RunningT = TypeVar("RunningT", bound=RunningServer)


class DataFolderLock:
    """The exclusive right of one server to a data folder, for as long as the server lives.

    Args:
        folder: The data folder.
        kind: The kind of server; servers of different kinds may share a folder.
    """

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder, self.kind = folder, kind
        self._lock = FileLock(_lock_file(folder, kind))

    @property
    def descriptor(self) -> int:
        """The file descriptor that carries the lock, for the server to inherit."""
        return self._lock.descriptor

    async def acquire(self) -> None:
        """Takes the lock; waits for a server whose owner was killed, because such a server is stopping.

        Raises:
            DataFolderInUseError: Another server holds the lock and is not stopping.
        """

        def is_acquired() -> bool:
            if self._lock.acquire():
                return True
            running = find_running_server(self.folder, self.kind, RunningServer)
            if running is not None and _exists(running.owner_pid):
                raise DataFolderInUseError(self.folder)
            return False

        if not await poll_until(is_acquired, timeout=STOPPING_TIMEOUT):
            raise DataFolderInUseError(self.folder)

    def publish_address(self, running: RunningServer) -> None:
        """Writes the address file, readable by its owner only, because an address may hold a password."""
        write_private_file(_address_file(self.folder, self.kind), running.model_dump_json())

    def remove_address(self) -> None:
        """Deletes the address file; does nothing when the lock is not held."""
        if self._lock.is_held:
            _address_file(self.folder, self.kind).unlink(missing_ok=True)

    def release(self) -> None:
        """Releases the lock; does nothing when the lock is not held."""
        self._lock.release()


def find_running_server(folder: Path, kind: str, model: type[RunningT]) -> RunningT | None:
    """Reads the address file of the server that runs on a data folder; None when no server runs."""
    # A crash leaves the address file behind; only a living server holds the lock.
    if not is_locked(_lock_file(folder, kind)):
        return None
    try:
        return model.model_validate_json(_address_file(folder, kind).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def _address_file(folder: Path, kind: str) -> Path:
    return folder / f"{kind}.json"


def _lock_file(folder: Path, kind: str) -> Path:
    return folder / f"{kind}.lock"


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
