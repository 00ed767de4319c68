"""Stopping when told to."""

import asyncio
import signal
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_signals() -> Generator[asyncio.Event]:
    """Gives an event that is set by the first SIGINT or SIGTERM; a second one acts as it would without us.

    So an impatient person who presses Ctrl-C twice is obeyed.
    """
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def forget() -> None:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)

    def on_signal() -> None:
        stop.set()
        forget()

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, on_signal)
    try:
        yield stop
    finally:
        forget()


async def wait_for_stop(stop: asyncio.Event, running: asyncio.Task[Any]) -> None:
    """Waits until a signal came, or until what is running ended by itself."""
    waiting = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({waiting, running}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
