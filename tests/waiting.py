"""Waiting for something to become true, with a deadline: the only way in which a test waits."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

PAUSE = 0.02


async def until(condition: Callable[[], bool | Awaitable[bool]], *, within: float = 20.0) -> None:
    """Waits until `condition` is true, and fails where it is not within so many seconds."""
    deadline = time.monotonic() + within
    while True:
        verdict = condition()
        if verdict if isinstance(verdict, bool) else await verdict:
            return
        assert time.monotonic() < deadline, f"{condition} was not true within {within:g} s"
        await asyncio.sleep(PAUSE)


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie, which only waits for somebody to note its death, does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
