"""The exit of a process with a client: the threads of Temporal's client must release their Python objects."""

import atexit
import gc
import time
from datetime import timedelta

EXIT_DELAY = timedelta(milliseconds=300)
"""Measured: without the delay, a third of the short processes abort at their exit."""


def delay_exit() -> None:
    """Delays the exit of the interpreter by `EXIT_DELAY`; a second call has no effect.

    See issue 300 of temporalio: objects that are released after the end of the interpreter abort the process
    with exit code 134 or by SIGSEGV, after everything else has succeeded.
    """
    atexit.unregister(_wait)
    atexit.register(_wait)


def _wait() -> None:
    gc.collect()
    time.sleep(EXIT_DELAY.total_seconds())
