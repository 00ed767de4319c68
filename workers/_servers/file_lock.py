"""Locks between processes, released by the kernel when the last holder has ended."""

import fcntl
import os
from pathlib import Path


class FileLock:
    """A lock on a file, held until `release`, and by every child process that inherits `descriptor`.

    A server that inherits the descriptor keeps its data folder locked until the server ends, even when the
    process that started the server was killed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor is not None

    @property
    def descriptor(self) -> int:
        """The file descriptor that carries the lock.

        Raises:
            RuntimeError: The lock is not held.
        """
        if self._descriptor is None:
            raise RuntimeError(f"the lock {str(self.path)!r} is not held")
        return self._descriptor

    def acquire(self) -> bool:
        """Takes the lock if free, without waiting, and returns whether the lock is held now."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Releases the lock; does nothing when the lock is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def is_locked(path: Path) -> bool:
    """Tells whether any process holds the lock on `path`."""
    if not path.exists():
        return False
    lock = FileLock(path)
    if lock.acquire():
        lock.release()
        return False
    return True
