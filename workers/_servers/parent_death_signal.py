"""Runs a command that gets SIGTERM when the process that started the command dies.

A script: `python parent_death_signal.py PARENT_PID COMMAND...` asks the kernel for the signal and then
replaces its own process with the command. The alternative, a `preexec_fn`, runs Python code in the fork of a
process with threads, which can deadlock.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Asks the kernel for the signal, then replaces this process with the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        # A parent that died before the call above never triggers the signal.
        if os.getppid() != parent:
            raise SystemExit("the parent process has ended")
    # Python ignores SIGPIPE, and a process that replaces this one would inherit the ignored signal.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        raise SystemExit(f"cannot run {command[0]!r}: {error.strerror}") from None


if __name__ == "__main__":
    main()
