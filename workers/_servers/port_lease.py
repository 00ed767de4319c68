"""Leases of free ports on the loopback interface."""

import os
import socket
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from .._configuration.loopback import LOOPBACK
from .file_lock import FileLock

NEXT_PORTS = 20
"""How many ports after the preferred port are tried."""
LAST_PORT = 65535


class PortLease:
    """A free port on the loopback interface, reserved until `release` against every other lease.

    Between choosing a free port and the start of the server that listens, another process could choose the
    same port; the lock of the lease prevents the collision on this machine.

    Args:
        preferred: The preferred ports, the first free port of which is taken, else one of the ports after the
            last preferred port, else any free port; 0 for any free port.
    """

    def __init__(self, *preferred: int) -> None:
        self._lock: FileLock | None = None
        self.port = next(filter(self._acquire, _candidates(preferred)))

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


def _candidates(preferred: Sequence[int]) -> Iterator[int]:
    wanted = [port for port in preferred if port]
    yield from wanted
    if wanted:
        # Below the range from which the kernel lends ports, the port is likely to be free at the next start.
        yield from range(wanted[-1] + 1, min(wanted[-1] + NEXT_PORTS, LAST_PORT) + 1)
    while True:
        yield _choose_free_port()


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
