"""The `sagas` command, as an operator runs it."""

import asyncio
import os
import sys
from dataclasses import dataclass

from .stage import PATIENCE


@dataclass(frozen=True)
class Ended:
    """How it ended, and what it said."""

    code: int
    out: str
    err: str


async def sagas(server: str, *arguments: str, **environment: str) -> Ended:
    """The command as a process, with more of an environment if it is given; whoever asks is mia."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "workers",
        *arguments,
        env={
            "TEMPORAL_ADDRESS": server,
            # A profile of whoever runs the tests does not reach it.
            "TEMPORAL_CONFIG_FILE": os.environ["TEMPORAL_CONFIG_FILE"],
            "PATH": "",
            "LOGNAME": "mia",
            "NO_COLOR": "1",
            **environment,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate()
    return Ended(process.returncode or 0, out.decode(), err.decode())
