"""Becomes the command that it is given, which then gets SIGTERM when the process that started it dies.

Run as a script, `python parent_death_signal.py PARENT_PID COMMAND...`, between the parent and its child. The
alternative, a `preexec_fn`, runs Python code in a fork of a process with threads, which can deadlock.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Asks the kernel for the signal, then turns into the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        # The parent may have died before the kernel was asked; then nobody would ever send the signal.
        if os.getppid() != parent:
            raise SystemExit("the process that started this one is gone")
    # Python ignores SIGPIPE, and what is ignored stays so in the command.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        raise SystemExit(f"cannot run {command[0]!r}: {error.strerror}") from None


if __name__ == "__main__":
    main()
