"""What a process and its children have used so far, as the kernel counts it."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU time and what was written to disk, since the processes began.

    Args:
        cpu_ms: Of user and system, children that have ended included.
        written_kib: What went, or will go, from the page cache to a disk.
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
    """What each group of processes has used so far, with everything that runs in their sessions.

    Args:
        groups: The ids of processes that lead a session of their own, by a name for them.
        proc: Where the kernel tells about processes.
        ticks_per_s: The unit in which it counts their time.
    """
    leaders = {pid: name for name, pids in groups.items() for pid in pids}
    found = dict.fromkeys(groups, Usage())
    for folder in proc.iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            session, ticks, written = _read(folder)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # It has ended in the meantime, or is none of ours.
        if name := leaders.get(session):
            found[name] += Usage(ticks * 1000 / ticks_per_s, written / 1024)
    return found


def busy_ms(*, proc: Path = PROC, ticks_per_s: int = TICKS_PER_S) -> float:
    """How long the cores of this machine have worked since it began, whoever for."""
    numbers = (proc / "stat").read_text().splitlines()[0].split()[1:]
    # In the order of proc(5); what is neither idle nor waits for a disk is busy, a stolen core included.
    user, nice, system, _, _, interrupts, soft, stolen = map(int, numbers[:8])
    return (user + nice + system + interrupts + soft + stolen) * 1000 / ticks_per_s


def _read(folder: Path) -> tuple[int, int, int]:
    # The name of the program comes second, in parentheses, and may hold anything; see proc(5).
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    session = int(fields[3])
    ticks = sum(map(int, fields[11:15]))
    written = 0
    for line in (folder / "io").read_text().splitlines():
        name, _, value = line.partition(": ")
        if name == "write_bytes":
            written = int(value)
    return session, ticks, written
