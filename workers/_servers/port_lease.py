"""Leases of free ports on the loopback interface."""

import os
import socket
import tempfile
from pathlib import Path

from .._configuration.loopback import LOOPBACK
from .file_lock import FileLock


class PortLease:
    """A free port on the loopback interface, reserved until `release` against every other lease.

    Between choosing a free port and the start of the server that listens, another process could choose the
    same port; the lock of the lease prevents the collision on this machine.

    Args:
        preferred: The preferred port, taken when free; 0 for any free port.
    """

    def __init__(self, preferred: int) -> None:
        self.port = preferred or _choose_free_port()
        self._lock: FileLock | None = None
        while not self._acquire(self.port):
            self.port = _choose_free_port()

    def release(self) -> None:
        """Releases the port."""
        if self._lock is not None:
            self._lock.release()

    def _acquire(self, port: int) -> bool:
        lock = FileLock(Path(tempfile.gettempdir()) / f"sagas-ports-{os.getuid()}" / f"{port}.lock")
        if not lock.acquire():
            return False
        if not _is_free(port):
            lock.release()
            return False
        self._lock = lock
        return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Servers set SO_REUSEADDR too; without the option, a port with connections in TIME_WAIT looks taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _choose_free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
