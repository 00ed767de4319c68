"""CPU time and written bytes of processes with children, as counted by the Linux kernel."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """The usage since the start of the processes.

    Args:
        cpu_ms: User and system time, including ended children.
        written_kib: Data written to a disk, or still in the page cache for a disk.
    """

    cpu_ms: float = 0.0
    written_kib: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(self.cpu_ms + other.cpu_ms, self.written_kib + other.written_kib)

    def __sub__(self, other: "Usage") -> "Usage":
        return Usage(self.cpu_ms - other.cpu_ms, self.written_kib - other.written_kib)


def usage_of(
    groups: Mapping[str, Iterable[int]], *, proc: Path = PROC, ticks_per_s: int = TICKS_PER_S
) -> dict[str, Usage]:
    """Returns the usage of each group of processes, with all processes of the same sessions.

    Args:
        groups: The ids of session leaders, by the name of the group.
        proc: The proc file system.
        ticks_per_s: The unit of CPU time in the proc file system.
    """
    leaders = {pid: name for name, pids in groups.items() for pid in pids}
    found = dict.fromkeys(groups, Usage())
    for folder in proc.iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            session, ticks, written = _read(folder)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # The process has ended meanwhile, or belongs to another user.
        if name := leaders.get(session):
            found[name] += Usage(ticks * 1000 / ticks_per_s, written / 1024)
    return found


def busy_ms(*, proc: Path = PROC, ticks_per_s: int = TICKS_PER_S) -> float:
    """Returns the CPU time of all cores of this machine since the boot, for all programs."""
    numbers = (proc / "stat").read_text().splitlines()[0].split()[1:]
    # In the order of proc(5); time neither idle nor waiting for a disk is busy, a stolen core included.
    user, nice, system, _, _, interrupts, soft, stolen = map(int, numbers[:8])
    return (user + nice + system + interrupts + soft + stolen) * 1000 / ticks_per_s


def _read(folder: Path) -> tuple[int, int, int]:
    # The name of the program comes second, in parentheses, and may hold any character; see proc(5).
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    session = int(fields[3])
    ticks = sum(map(int, fields[11:15]))
    written = 0
    for line in (folder / "io").read_text().splitlines():
        name, _, value = line.partition(": ")
        if name == "write_bytes":
            written = int(value)
    return session, ticks, written
