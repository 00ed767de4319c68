"""Exit codes of commands: `run_main` ends the process with the exit code of a coroutine."""

import asyncio
import gc
import sys
import time
import traceback
from collections.abc import Coroutine
from datetime import timedelta
from typing import NoReturn

from temporalio.api.errordetails.v1 import NamespaceNotFoundFailure
from temporalio.service import RPCError

from sagas import SagaError

from .._errors import ConfigurationError

FAILED, USAGE_ERROR, INTERRUPTED = 1, 2, 130
NAMESPACE_ADVICE = (
    "set TEMPORAL_NAMESPACE, or the namespace of your Temporal profile, to an existing namespace"
)
EXIT_DELAY = timedelta(milliseconds=300)
"""Measured: without the delay, a third of the short processes with a worker abort at their exit."""


def run_main(main: Coroutine[object, object, int | None]) -> NoReturn:
    """Runs the main coroutine of a command, and ends the process with an exit code.

    The exit code is the result of the coroutine (None counts as 0), 2 for an unusable setting, 1 for every
    other error, and 130 for Ctrl-C. Errors of this SDK and of Temporal are printed as a sentence on stderr;
    unexpected exceptions are printed with their traceback.
    """
    code = _run(main)
    wait_for_client_threads()
    sys.exit(code)


def _run(main: Coroutine[object, object, int | None]) -> int:
    try:
        return asyncio.run(main) or 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except ConfigurationError as error:
        return _print_error(error, USAGE_ERROR)
    except RPCError as error:
        return _print_error(_describe(error), FAILED)
    except SagaError as error:
        return _print_error(error, FAILED)
    except Exception:  # noqa: BLE001 - without this handler, the wait for the client's threads would be skipped
        traceback.print_exc()
        return FAILED


def _describe(error: RPCError) -> str:
    if any(each.Is(NamespaceNotFoundFailure.DESCRIPTOR) for each in error.grpc_status.details):
        return f"{error.message.rstrip('.')}; {NAMESPACE_ADVICE}"
    return str(error)


def _print_error(error: Exception | str, code: int) -> int:
    print(f"error: {error}", file=sys.stderr)
    return code


def wait_for_client_threads() -> None:
    """Lets the threads of the Temporal client release their Python objects before the interpreter ends.

    See issue 300 of temporalio: objects that are released after the end of the interpreter abort the process
    with exit code 134.
    """
    gc.collect()
    time.sleep(EXIT_DELAY.total_seconds())
