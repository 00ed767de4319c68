"""Stopping a process by SIGINT or SIGTERM."""

import asyncio
import signal
from collections.abc import Generator
from contextlib import contextmanager

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_signals() -> Generator[asyncio.Event]:
    """Gives an event that the first SIGINT or SIGTERM sets; a second signal has its default effect.

    The second Ctrl-C of an impatient person therefore ends the process at once.
    """
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def remove_handlers() -> None:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)

    def on_signal() -> None:
        stop.set()
        remove_handlers()

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, on_signal)
    try:
        yield stop
    finally:
        remove_handlers()


async def wait_for_stop(stop: asyncio.Event, running: asyncio.Task[object]) -> None:
    """Waits until a signal has arrived or the task has ended."""
    waiting = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({waiting, running}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
