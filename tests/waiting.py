"""Waiting for a condition, with a timeout: tests never sleep."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

PAUSE = 0.02


async def until(condition: Callable[[], bool | Awaitable[bool]], *, within: float = 20.0) -> None:
    """Waits until `condition` is true, and fails after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        result = condition()
        if result if isinstance(result, bool) else await result:
            return
        assert time.monotonic() < deadline, f"{condition} was not true within {within:g} s"
        await asyncio.sleep(PAUSE)


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie process does not run."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
