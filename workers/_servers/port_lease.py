"""Ports on loopback that nobody else uses."""

import ipaddress
import os
import socket
import tempfile
from pathlib import Path

from .file_lock import FileLock

LOOPBACK = "127.0.0.1"


class PortLease:
    """A free port, kept from every other lease on this machine until `release`.

    Between finding a free port and a server that listens on it there is a moment in which another process
    could find the same one; the lease is what such a process stumbles over.

    Args:
        preferred: The port wished for, where it is free; 0 for any.
    """

    def __init__(self, preferred: int) -> None:
        self.port = preferred or _any_free_port()
        self._lock: FileLock | None = None
        while not self._take(self.port):
            self.port = _any_free_port()

    def release(self) -> None:
        """Gives the port back."""
        if self._lock is not None:
            self._lock.release()

    def _take(self, port: int) -> bool:
        lock = FileLock(Path(tempfile.gettempdir()) / f"sagas-ports-{os.getuid()}" / f"{port}.lock")
        if not lock.acquire():
            return False
        if not _is_free(port):
            lock.release()
            return False
        self._lock = lock
        return True


def is_loopback(host: str) -> bool:
    """Whether a host, as it stands in an address, is this machine."""
    name = host.strip("[]")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: without it, a port whose last connections are being buried looks taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _any_free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
