"""The ports that a server got in place of its preferred ports, kept for the next start."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from .private_file import write_private_file

_Ports = TypeAdapter(dict[int, int])


class RememberedPorts:
    """The ports of an earlier start on a data folder, by preferred port: addresses stay valid.

    Args:
        file: The JSON file with the ports; deleting the file forgets the ports.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def read(self) -> dict[int, int]:
        """Reads the ports; an unreadable file counts as empty."""
        try:
            return _Ports.validate_json(self.file.read_bytes())
        except (FileNotFoundError, ValidationError):
            return {}

    def write(self, ports: Mapping[int, int]) -> None:
        """Replaces the kept ports; without ports, deletes the file."""
        if ports:
            write_private_file(self.file, _Ports.dump_json(dict(ports)).decode())
        else:
            self.file.unlink(missing_ok=True)
