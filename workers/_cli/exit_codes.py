"""How every command ends: with its own exit code, and one sentence where something expected went wrong."""

import asyncio
import gc
import sys
import time
import traceback
from collections.abc import Coroutine
from typing import Any, NoReturn

from temporalio.api.errordetails.v1 import NamespaceNotFoundFailure
from temporalio.service import RPCError

from sagas import SagaError

from .._errors import ConfigurationError

FAILED, MISUSED, INTERRUPTED = 1, 2, 130
NAMESPACES = "; set TEMPORAL_NAMESPACE, or the namespace of your Temporal profile, to one that is there"
SETTLE = 0.3
"""Seconds, measured: without them, one short process in three that used a worker aborts at exit."""


def run_main(main: Coroutine[Any, Any, int | None]) -> NoReturn:
    """Runs the coroutine of a command, and ends the process with its exit code: every entry point calls it.

    The exit code is what the coroutine returns (None is 0); 2 for a setting that cannot be used, 1 for any
    other error, 130 for Ctrl-C. An error that was to be expected is one sentence on stderr; any other one
    is a fault of ours, and comes with its traceback.
    """
    code = _run(main)
    _settle()
    sys.exit(code)


def _run(main: Coroutine[Any, Any, int | None]) -> int:
    try:
        return asyncio.run(main) or 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except ConfigurationError as error:
        return _tell(error, MISUSED)
    except RPCError as error:
        return _tell(f"{error.message.rstrip('.')}{NAMESPACES}" if _is_of_namespace(error) else error, FAILED)
    except SagaError as error:
        return _tell(error, FAILED)
    except Exception:  # noqa: BLE001 - the last one who can catch it; otherwise the cure would not run
        traceback.print_exc()
        return FAILED


def _is_of_namespace(error: RPCError) -> bool:
    return any(each.Is(NamespaceNotFoundFailure.DESCRIPTOR) for each in error.grpc_status.details)


def _tell(error: Exception | str, code: int) -> int:
    print(f"error: {error}", file=sys.stderr)
    return code


def _settle() -> None:
    """Lets the threads of the Temporal client finish with Python objects before the interpreter is gone.

    See issue 300 of the Temporal SDK for Python: what they still hold is given back after the interpreter
    ended, which aborts the process with exit code 134.
    """
    gc.collect()
    time.sleep(SETTLE)
